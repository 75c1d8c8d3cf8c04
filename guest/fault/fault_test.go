package fault

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"instarfs/guest/show"
)

// verb is what expand understands: an argument in three spellings, or the text.
var verb = regexp.MustCompile(`\{(text|file|[0-2]|[0-2]:[dx]|[0-2]:#x)\}`)

// unknown is a number that no reason has.
const unknown Reason = 0xffff

// reasons are all numbers that have a row.
func reasons() (all []Reason) {
	for b, rows := range blocks {
		for i := range rows {
			all = append(all, Reason(b*blockLen+i))
		}
	}
	return all
}

// TestTable: every reason has a complete row, of printable text on one line whose verbs are all
// known. expand trusts that.
func TestTable(t *testing.T) {
	for _, r := range reasons() {
		w := r.row()
		if w.field == "" || w.text == "" {
			t.Errorf("reason %d has no row: %+v", r, w)
		}
		if !w.class.Known() || (w.class == OK) != (r == None) {
			t.Errorf("reason %d (%s) has class %d", r, w.text, w.class)
		}
		if rest := verb.ReplaceAllString(w.text, ""); strings.ContainsAny(rest, "{}") {
			t.Errorf("reason %d has a verb that nobody knows: %s", r, w.text)
		}
		if rest := verb.ReplaceAllString(w.told, ""); strings.ContainsAny(rest, "{}") {
			t.Errorf("reason %d has a verb that nobody knows: %s", r, w.told)
		}
		if s := w.field + w.text; show.Line(s) != s {
			t.Errorf("reason %d is not printable: %s", r, s)
		}
		f := &Fault{Reason: r, Args: [3]uint64{11, 22, 33}, Text: "abc"}
		if m := f.Message(); m == "" || strings.ContainsAny(m, "{}\n") {
			t.Errorf("reason %d says %q", r, m)
		}
		if !r.Known() || f.Class() != w.class || f.Field() != w.field {
			t.Errorf("reason %d: %v %v %q", r, r.Known(), f.Class(), f.Field())
		}
	}
}

// TestRowsDiffer: what is wrong with images of one format is told apart.
func TestRowsDiffer(t *testing.T) {
	type key struct {
		block Reason
		row
	}
	seen := map[key]Reason{}
	for _, r := range reasons() {
		k := key{r / blockLen, r.row()}
		if other, ok := seen[k]; ok {
			t.Errorf("reasons %d and %d say the same: %+v", other, r, r.row())
		}
		seen[k] = r
	}
}

func TestMessage(t *testing.T) {
	const max = 1<<64 - 1
	tests := []struct {
		f    *Fault
		want string
	}{
		{New(Qcow2Magic, 0), "Image is not in qcow2 format"},
		{New(Qcow2Version, 4, 4), "Unsupported qcow2 version 4"},
		// zero as C prints %#x
		{New(Qcow2L2Unaligned, 0, 0x30001, 0), "L2 table offset 0x30001 unaligned (L1 index: 0)"},
		{New(Qcow2ClusterUnaligned, 8, max, 0xab, 10),
			"Cluster allocation offset 0xffffffffffffffff unaligned (L2 offset: 0xab, L2 index: " +
				"0xa)"},
		{New(Qcow2CryptoOffset, 0, max, 65536),
			"Encryption header offset '18446744073709551615' is not a multiple of cluster size " +
				"'65536'"},
		{Quoting(Qcow2Features, 0, "a, b"), "Unsupported qcow2 feature(s): a, b"},
		{Quoting(Qcow2BitmapExists, 0, "ä\n\x1b[31m\u009b\x7f\xff~ {0}"),
			`Bitmap already exists: ä\x0a\x1b[31m\xc2\x9b\x7f\xff~ {0}`},
		{&Fault{Reason: unknown}, "unknown reason"},
		{&Fault{Reason: generalBlock + blockLen - 1, Text: "x"}, "unknown reason"},
	}
	for _, test := range tests {
		if got := test.f.Message(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
	if got, want := New(Qcow2L1Size, 36).Error(),
		"l1_size at offset 36: Active L1 table too large"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestVerbs covers every spelling.
func TestVerbs(t *testing.T) {
	f := &Fault{Args: [3]uint64{0, 255, 1 << 63}, Text: "t"}
	const text, want = "{0}|{0:x}|{0:#x}|{1}|{1:d}|{1:x}|{1:#x}|{2:#x}|{2:d}|{text}|{file}|",
		"0|0|0|255|255|ff|0xff|0x8000000000000000|-9223372036854775808|t|a{0}|"
	if got := string(f.expand(nil, text, "a{0}")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestMarksCorrupt lists what a walk of a qcow2 can find.
func TestMarksCorrupt(t *testing.T) {
	walk := []Reason{Qcow2L2Unaligned, Qcow2ClusterUnaligned, Qcow2ZeroInV2,
		Qcow2CompressedWithDataFile,
		Qcow2DataFileOffset, Qcow2InvalidSubcluster, Qcow2RefblockUnaligned}
	for _, r := range reasons() {
		if got, want := New(r, 0).MarksCorrupt(), slices.Contains(walk, r); got != want {
			t.Errorf("%s: %v, want %v", New(r, 0).Message(), got, want)
		}
	}
}

func TestQuotingCapsItsText(t *testing.T) {
	for _, n := range []int{0, MaxText, MaxText + 1, 1 << 20} {
		if got := len(Quoting(Qcow2Features, 0, strings.Repeat("x", n)).Text); got != min(n,
			MaxText) {
			t.Errorf("%d bytes became %d", n, got)
		}
	}
}

func TestUnknown(t *testing.T) {
	f := &Fault{Reason: unknown}
	if f.Reason.Known() || f.Class() != Corrupt || f.Field() != "guest" ||
		Class(highestClass+1).Known() {
		t.Error(f.Class(), f.Field())
	}
}

// FuzzError: whatever a guest claims, the message is one printable line.
func FuzzError(f *testing.F) {
	f.Add(uint16(Qcow2Features), uint64(1), uint64(2), "x\n")
	f.Add(uint16(0xffff), uint64(0), uint64(0), "")
	f.Fuzz(func(t *testing.T, r uint16, off, arg uint64, text string) {
		for _, i := range append(reasons(), Reason(r)) {
			e := &Fault{Reason: i, Offset: off, Args: [3]uint64{arg, off, arg}, Text: text}
			m := e.Error()
			if show.Line(m) != m || !strings.Contains(m, strconv.FormatUint(off, 10)) {
				t.Fatalf("%q", m)
			}
		}
	})
}

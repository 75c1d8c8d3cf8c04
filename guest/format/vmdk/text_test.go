package vmdk_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vmdk"
	"instarfs/guest/format/vmdk/vmdktest"
	"instarfs/guest/img"
)

const (
	intro = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\n"
	part  = stored // of a sparse file, which has its own map
)

func data(name string) img.Reference { return img.Reference{Kind: img.DataFile, Name: name} }
func sparse(name string) img.Reference {
	return img.Reference{Kind: img.ExtentFile, Name: name, Format: "vmdk-sparse"}
}

// texts are descriptors that follow intro, and their extents in a profile of qemu and in our
// own. If own is nil they are the same.
var texts = []struct {
	name, text string
	qemu, own  []ext
	refs       []img.Reference // for qemu
	bad        string          // the message of qemu, if it refuses the text
	ownBad     string          // our own message, if different; "-" is none
}{
	{name: "nothing", text: ""},
	{name: "flat", text: "RW 2 FLAT \"a\" 0\nRW 3 FLAT \"a\" 5\nRW 4 VMFS \"b\"\n",
		refs: []img.Reference{data("a"), data("b")},
		qemu: []ext{{1024, shown, 0, 1}, {1536, shown, 2560, 1}, {2048, shown, 0, 2}}},
	{name: "flat, in one piece", text: "RW 2 FLAT \"a\" 1\nRW 3 FLAT \"a\" 3",
		refs: []img.Reference{data("a")},
		qemu: []ext{{2560, shown, 512, 1}}},
	{name: "sparse", text: "RW 2 SPARSE \"a\"\nRW 9 VMFSSPARSE \"b\"\n" +
		"RW 1 SESPARSE \"b\"\nRW 1 SPARSE \"a\"\n",
		refs: []img.Reference{sparse("a"), sparse("b"),
			{Kind: img.ExtentFile, Name: "b", Format: "vmdk-sesparse"}},
		qemu: []ext{{512, part, 0, 1}, {512, part, 0, 2}, {512, part, 0, 3}, {512, part, 0, 1}}},
	{name: "empty line", text: "\nRW 17 FLAT \"a\" 0\n", refs: []img.Reference{data("a")},
		qemu: []ext{{8704, shown, 0, 1}, {8704, shown, 0, 1}}, own: []ext{{8704, shown, 0, 1}}},
	{name: "empty lines", text: "\n \n\t\r\n RW 1 FLAT \"a\" 0", refs: []img.Reference{data("a")},
		qemu: []ext{{512, shown, 0, 1}, {512, shown, 0, 1}, {512, shown, 0, 1}, {512, shown, 0, 1}},
		own:  []ext{{512, shown, 0, 1}}},
	{name: "CRLF", text: "RW 1 FLAT \"a\" 0\r\nRW 1 VMFS \"b\"\r\n",
		refs: []img.Reference{data("a"), data("b")},
		qemu: []ext{{512, shown, 0, 1}, {512, shown, 0, 2}}},
	{name: "on many lines", text: "RW\n1\n\tFLAT\n\"a\"\n+2\n", refs: []img.Reference{data("a")},
		qemu: []ext{{512, shown, 1024, 1}}, ownBad: "Invalid extent line: RW"},
	{name: "without blanks", text: "RW 1FLAT \"a\"2", refs: []img.Reference{data("a")},
		qemu: []ext{{512, shown, 1024, 1}}},
	{name: "no second quote", text: "RW 1 VMFS \"a\nRW 1 VMFS \"b\"",
		refs: []img.Reference{data("a"), data("b")},
		qemu: []ext{{512, shown, 0, 1}, {512, shown, 0, 2}}},
	{name: "long name", text: "RW 1 VMFS \"" + strings.Repeat("x", 512) + "\"",
		refs: []img.Reference{data(strings.Repeat("x", 511))},
		qemu: []ext{{512, shown, 0, 1}}},
	{name: "no name", text: "RW 1 VMFS \"\"", ownBad: `Invalid extent line: RW 1 VMFS ""`},
	{name: "other lines", text: "RW 5 ZERO\nRDONLY 1 FLAT \"a\" 0\nNOACCESS 1 FLAT \"a\" 0\n" +
		"RW 0 FLAT \"a\" 0\nrw 1 FLAT \"a\" 0\nRWX 1 VMFS \"a\"\n",
		own: []ext{{2560, zeroed, 0, 0}, {512, shown, 0, 1}, {512, extent.Present | extent.Data, 0,
			0}}},
	{name: "unknown kinds", text: "RW 1 VMFSRDM \"a\"\n",
		ownBad: "Unsupported extent type 'VMFSRDM'"},
	{name: "less than nothing", text: "RW -1 VMFS \"a\"\n",
		ownBad: `Invalid extent line: RW -1 VMFS "a"`},
	{name: "after the text", text: "\x00RW 1 VMFS \"a\"\n"},
	{name: "flat without offset", text: "RW 1 FLAT \"a\"\n",
		bad: `Invalid extent line: RW 1 FLAT "a"`, ownBad: "-"},
	{name: "flat with a negative offset", text: "RW 1 FLAT \"a\" -1",
		bad: `Invalid extent line: RW 1 FLAT "a" -1`},
	{name: "offset of others", text: "RW 1 SPARSE \"a\"\n0",
		bad: `Invalid extent line: RW 1 SPARSE "a"`, ownBad: "-"},
	{name: "unknown kind with a number", text: "RW 1 NEW \"a\" 1\n",
		bad: `Invalid extent line: RW 1 NEW "a" 1`, ownBad: "Unsupported extent type 'NEW'"},
	{name: "wrong, seen from an empty line", text: "\nRW 1 FLAT \"a\"\n",
		bad: "Invalid extent line: ", ownBad: "-"},
	{name: "too large", text: "RW 99999999999999999999 VMFS \"a\"\n",
		bad: "Could not refresh total sector count: File too large"},
	{name: "too large together", text: "RW 18014398507384832 FLAT \"a\" 0\nRW 1 FLAT \"a\" 0\n",
		bad: "Could not refresh total sector count: File too large"},
	{name: "far away", text: "RW 1 FLAT \"a\" 9223372036854775807\n",
		bad: "an extent begins at sector 9223372036854775807 of its file, which no file has"},
}

func TestTexts(t *testing.T) {
	for _, v := range texts {
		t.Run(v.name, func(t *testing.T) {
			b := []byte(intro + v.text)
			r, f := walk(t, &vmdk.Driver, b, qemu, img.Whole)
			if message(f) != v.bad {
				t.Fatalf("%q, want %q", message(f), v.bad)
			}
			if f == nil {
				same(t, r, v.qemu)
				if fmt.Sprint(r.References) != fmt.Sprint(v.refs) {
					t.Errorf("references %+v, want %+v", r.References, v.refs)
				}
				parts(t, b, r)
			}
			want := v.own
			if v.own == nil {
				want = v.qemu
			}
			r, f = walk(t, &vmdk.Driver, b, 0, img.Whole)
			switch {
			case v.ownBad == "-":
				if f != nil {
					t.Fatal(f)
				}
			case v.ownBad != "":
				if message(f) != v.ownBad {
					t.Fatalf("own: %q, want %q", message(f), v.ownBad)
				}
			case message(f) != v.bad:
				t.Fatalf("own: %q, want %q", message(f), v.bad)
			case f == nil:
				same(t, r, want)
			}
		})
	}
}

func message(f *fault.Fault) string {
	if f == nil {
		return ""
	}
	return f.Message()
}

// parts compares windows with the whole.
func parts(t *testing.T, b []byte, whole *formattest.Result) {
	t.Helper()
	for start := uint64(0); start < whole.Size; start += 700 {
		r, f := walk(t, &vmdk.Driver, b, qemu, window(start, start+1000))
		if f != nil {
			t.Fatal(f)
		}
		within(t, whole, r)
	}
}

// within compares a window of a map with the whole.
func within(t testing.TB, whole, part *formattest.Result) {
	t.Helper()
	for at := part.Map.Start(); at < part.Map.End(); {
		w, p := whole.Map.At(whole.Map.Find(at)), part.Map.At(part.Map.Find(at))
		if w.Start < at {
			w = w.Skip(at - w.Start)
		}
		if p.Start < at {
			p = p.Skip(at - p.Start)
		}
		n := min(w.Length, p.Length)
		w.Length, p.Length = n, n
		if w.Flags == extent.Bad && p.Flags == extent.Bad {
			w.Offset, p.Offset = 0, 0
		}
		if w != p {
			t.Fatalf("at %d: %+v, in a window %+v", at, w, p)
		}
		at += n
	}
}

// TestIntroductions has lines before the extents, and elsewhere.
func TestIntroductions(t *testing.T) {
	cid := "CID=1\nparentCID=2\n"
	long := strings.Repeat("#", 21*512)
	for _, v := range []struct{ text, bad, backing string }{
		{`createType="vmfs"` + cid, "", ""},
		{`createType??seSparse"` + cid, "", ""},
		{cid, "invalid VMDK image descriptor", ""},
		{`createType="vmfs` + cid, "invalid VMDK image descriptor", ""},
		{`createType="`, "invalid VMDK image descriptor", ""},
		{`createType="` + strings.Repeat("x", 128) + `"`, "invalid VMDK image descriptor", ""},
		{`createType="` + strings.Repeat("x", 127) + `"`, "Unsupported image type '" +
			strings.Repeat("x", 127) + "'", ""},
		{`createType="vmfsx"`, "Unsupported image type 'vmfsx'", ""},
		{`createType="vmfs"`, "Invalid argument", ""},
		{`createType="vmfs"` + long + cid, "Invalid argument", ""}, // too far back
		{cid + long + `createType="vmfs"`, "", ""},
		{cid + strings.Repeat("#", 1<<20-1-len(cid)-17) + `createType="vmfs"`, "", ""},
		// one byte too far
		{cid + strings.Repeat("#", 1<<20-len(cid)-17) + `createType="vmfs"`,
			"invalid VMDK image descriptor", ""},
		{`createType="vmfs"` + cid + `parentFileNameHint="../a b"`, "", "../a b"},
		{`createType="vmfs"` + cid + `parentFileNameHint=""`, "", ""},
		{`createType="vmfs"` + cid + `parentFileNameHint`, "Invalid argument", ""},
		// qemu looks past the NUL
		{`createType="vmfs"` + cid + "parentFileNameHint\x00\x00x\"", "", "x"},
	} {
		r, f := walk(t, &vmdk.Driver, []byte(v.text), qemu, img.Whole)
		if message(f) != v.bad {
			t.Errorf("%.60q: %q, want %q", v.text, message(f), v.bad)
			continue
		}
		var want []img.Reference
		if v.backing != "" {
			want = []img.Reference{{Kind: img.Backing, Name: v.backing, Format: "vmdk"}}
		}
		if f == nil && fmt.Sprint(r.References) != fmt.Sprint(want) {
			t.Errorf("%.60q: %+v", v.text, r.References)
		}
	}
	// Lines that do not matter to a map.
	for _, text := range []string{`createType="custom"`, `createType="fullDevice"`} {
		if _, f := walk(t, &vmdk.Driver, []byte(text), 0, img.Whole); f != nil {
			t.Error(text, f)
		}
	}
}

// TestEmbedded has a hosted sparse file without capacity, which holds a descriptor, with the
// parent and the CIDs elsewhere.
func TestEmbedded(t *testing.T) {
	s := vmdktest.NewSparse("KDMV", 0, 128)
	s.Text = "CID=1\nparentCID=2\nparentFileNameHint=\"up\""
	s.Spoil64(28, 8)
	s.Spoil(8*512, []byte("createType=\"vmfs\"\nRW 2 FLAT \"a\" 1\n")...)
	for _, release := range []img.Release{0, qemu} {
		r, f := walk(t, &vmdk.Driver, s.Bytes(), release, img.Whole)
		if f != nil {
			t.Fatal(f)
		}
		same(t, r, []ext{{1024, shown, 512, 1}})
		if want := []img.Reference{data("a"), {Kind: img.Backing, Name: "up",
			Format: "vmdk"}}; fmt.Sprint(r.References) != fmt.Sprint(want) {
			t.Errorf("%+v", r.References)
		}
	}
}

// TestManyExtents has texts of as many extents and files as possible.
func TestManyExtents(t *testing.T) {
	text := intro + strings.Repeat("\n", 1<<19) + strings.Repeat("RW 1 FLAT \"a\" 7\n", 1<<14)
	// A walk takes milliseconds, and minutes if blanks are skipped again for every line end.
	tooLong := time.AfterFunc(time.Minute, func() { panic("a long text takes quadratic time") })
	r, f := walk(t, &vmdk.Driver, []byte(text), qemu, img.Whole)
	tooLong.Stop()
	if f != nil || r.Size != (1<<19+1<<14)*sector || r.Map.Len() != 1<<19+1<<14 {
		t.Fatal(f, r)
	}
	const most = 2048 // abi.MaxReferences; one is for the backing file
	for n, fits := range map[int]bool{most - 1: true, most: false} {
		text := intro
		for i := range n {
			text += fmt.Sprintf("RW 1 SPARSE \"%d\"\n", i)
		}
		r, f := walk(t, &vmdk.Driver, []byte(text), qemu, img.Whole)
		if (f == nil) != fits || f != nil && f.Reason != fault.TooManyReferences || f == nil &&
			len(r.References) != n {
			t.Error(n, f)
		}
	}
}

package fault

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestTable words every reason: no row is missing, and every verb of a text is one that expand knows.
func TestTable(t *testing.T) {
	for r := None; r < reasons; r++ {
		row := table[r]
		if row.field == "" || row.text == "" || !row.class.Known() || (row.class == OK) != (r == None) {
			t.Errorf("reason %d: %+v", r, row)
		}
		f := &Fault{Reason: r, Offset: 7, Args: [3]uint64{0x10, 0, 0xff}, Text: "a\nb\x80"}
		if m := f.Message(); strings.ContainsAny(m, "{}\n") || !utf8.ValidString(m) {
			t.Errorf("reason %d: message %q", r, m)
		}
	}
	if reasons.Known() || (&Fault{Reason: reasons}).Class() != Corrupt {
		t.Error("a number behind the table is known")
	}
}

// TestMessage fills texts as qemu does.
func TestMessage(t *testing.T) {
	for _, v := range []struct {
		f    *Fault
		want string
	}{
		{New(Qcow2ClusterUnaligned, 1, 0x70200, 0x40000, 0),
			"Cluster allocation offset 0x70200 unaligned (L2 offset: 0x40000, L2 index: 0)"},
		{New(Qcow2Version, 4, 4), "Unsupported qcow2 version 4"},
		{Quoting(Qcow2BitmapExists, 0, "a\nb"), `Bitmap already exists: a\x0ab`},
	} {
		if got := v.f.Message(); got != v.want {
			t.Errorf("%q, want %q", got, v.want)
		}
	}
	if f := Quoting(Qcow2Features, 72, strings.Repeat("x", 5000)); len(f.Text) != MaxText {
		t.Errorf("a text of %d bytes", len(f.Text))
	}
	if got := New(Qcow2Version, 4, 4).Error(); got != "version at offset 4: Unsupported qcow2 version 4" {
		t.Errorf("%q", got)
	}
}

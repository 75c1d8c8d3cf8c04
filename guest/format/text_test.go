package format_test

import (
	"encoding/binary"
	"testing"

	"instarfs/guest/format"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "a", "a\x00b": "a", "\x00b": ""} {
		if got := string(format.CString([]byte(in))); got != want {
			t.Errorf("CString(%q) = %q, want %q", in, got, want)
		}
	}
	big, little := binary.BigEndian, binary.LittleEndian
	for _, v := range []struct {
		in    string
		order binary.ByteOrder
		want  string
	}{
		{"", big, ""}, {"a\x00", little, "a"}, {"\x00a", big, "a"}, {"\x00a\x00", big, "a"},
		{"a\x00\x00\x00b\x00", little, "a"}, {"\xd8\x3d\xde\x00", big, "😀"},
		{"\xd8\x00", big, "\ufffd"},
	} {
		if got := format.UTF16([]byte(v.in), v.order); got != v.want {
			t.Errorf("UTF16(%q) = %q, want %q", v.in, got, v.want)
		}
	}
	for in, want := range map[string]string{
		`.\d\p.vhdx`: "d/p.vhdx", `..\p`: "../p", `C:\p`: "C:/p", "a": "a", `.\.\a`: "./a", "": "",
	} {
		if got := format.UnixPath(in); got != want {
			t.Errorf("UnixPath(%q) = %q, want %q", in, got, want)
		}
	}
}

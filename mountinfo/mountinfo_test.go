package mountinfo

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/needs"
)

func TestParse(t *testing.T) {
	table := Parse("22 1 0:21 / / rw - ext4 /dev/root rw\n" +
		`30 22 0:40 / /mnt/with\040space rw,noatime shared:1 - fuse.instarfs /images\011x rw` +
		"\n" +
		`31 22 0:41 / /auto rw - autofs systemd-1 rw` + "\n" +
		`32 31 0:42 / /auto rw shared:1 master:2 - fuse.other s rw` + "\n" +
		`33 22 259:43 / /\043\134040\777\09 rw - fuse.x \043s rw` + "\n" +
		"34 22 0:44 /sub /a\u3000b\u00a0c\r rw - fuse.y  rw\n" +
		"35 22 no / /device rw - ext4 s rw\n" +
		"36 22 8: / /minor rw - ext4 s rw\n" +
		"short\n")
	device := unix.Mkdev
	for point, want := range map[string]Mount{
		"/mnt/with space": {device(0, 40), "/", "/mnt/with space", "fuse.instarfs", "/images\tx",
			"rw"},
		"/auto":              {device(0, 42), "/", "/auto", "fuse.other", "s", "rw"},
		`/#\040\777\09`:      {device(259, 43), "/", `/#\040\777\09`, "fuse.x", "#s", "rw"},
		"/a\u3000b\u00a0c\r": {device(0, 44), "/sub", "/a\u3000b\u00a0c\r", "fuse.y", "", "rw"},
	} {
		if got, ok := table.at(point); !ok || got != want {
			t.Errorf("%q: %v %+v", point, ok, got)
		}
	}
	for _, point := range []string{"/mnt", "", "/a", "/device", "/minor"} {
		if got, ok := table.at(point); ok {
			t.Errorf("%q: %+v", point, got)
		}
	}
}

// TestAtAnyName reads the kernel's own lines: a mount is found at a directory of any name, with a
// source of any name.
func TestAtAnyName(t *testing.T) {
	needs.Root(t)
	for _, name := range []string{
		"plain", "a b", "tab\t", "line\nfeed", "return\r", "\r", `back\slash`, `\040`, `\`, "#hash",
		" - ", "ends in space ", "\u3000", "\u00a0", "\u2028\u0085", "\v\f", "\xff\xfe", "ä ö",
	} {
		point := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(point, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(name, point, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(point, &st); err != nil {
			t.Fatal(err)
		}
		m, ok, err := At(point)
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		if !ok || err != nil || m.Source != name || m.Type != "tmpfs" ||
			m.Device != st.Dev {
			t.Errorf("%q: %v, %v, %+v", name, ok, err, m)
		}
		if _, ok, err := At(point); ok || err != nil {
			t.Errorf("%q after unmounting: %v, %v", name, ok, err)
		}
	}
}

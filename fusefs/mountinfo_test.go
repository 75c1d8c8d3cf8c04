package fusefs

import (
	"os"
	"path/filepath"
	"testing"

	"instarfs/needs"

	"golang.org/x/sys/unix"
)

func TestFindMount(t *testing.T) {
	const mountinfo = "22 1 0:21 / / rw - ext4 /dev/root rw\n" +
		`30 22 0:40 / /mnt/with\040space rw,noatime shared:1 - fuse.instarfs /images\011x ro,user_id=0` + "\n" +
		`31 22 0:41 / /auto rw - autofs systemd-1 rw` + "\n" +
		`32 31 0:42 / /auto rw shared:1 master:2 - fuse.other s rw` + "\n" +
		`33 22 0:43 / /\043\134040\777\09 rw - fuse.x \043s rw` + "\n" +
		"34 22 0:44 / /a\u3000b\u00a0c\r rw - fuse.y  rw\n" +
		"short\n"
	for point, want := range map[string]mount{
		"/mnt/with space":    {"0:40", "/mnt/with space", fsType, "/images\tx"},
		"/auto":              {"0:42", "/auto", "fuse.other", "s"},
		`/#\040\777\09`:      {"0:43", `/#\040\777\09`, "fuse.x", "#s"},
		"/a\u3000b\u00a0c\r": {"0:44", "/a\u3000b\u00a0c\r", "fuse.y", ""},
	} {
		if got, ok := findMount(mountinfo, point); !ok || got != want {
			t.Errorf("%q: %v %+v", point, ok, got)
		}
	}
	for _, point := range []string{"/mnt", "", "/a"} {
		if got, ok := findMount(mountinfo, point); ok {
			t.Errorf("%q: %+v", point, got)
		}
	}
}

// The kernel's own lines: a mount is found at a directory of any name, with a source of any name.
func TestMountAtAnyName(t *testing.T) {
	needs.Root(t)
	for _, name := range []string{
		"plain", "a b", "tab\t", "line\nfeed", "return\r", "\r", `back\slash`, `\040`, `\`, "#hash", " - ", "ends in space ",
		"\u3000", "\u00a0", "\u2028\u0085", "\v\f", "\xff\xfe", "ä ö",
	} {
		point := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(point, 0755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(name, point, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		m, ok, err := mountAt(point)
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		if !ok || err != nil || m.source != name || m.fsType != "tmpfs" {
			t.Errorf("%q: %v, %v, %+v", name, ok, err, m)
		}
		if _, ok, err := mountAt(point); ok || err != nil {
			t.Errorf("%q after unmounting: %v, %v", name, ok, err)
		}
	}
}

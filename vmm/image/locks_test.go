package image

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLocks locks single bytes of a file as QEMU does, and asks as another process would.
func TestLocks(t *testing.T) {
	const consistentRead, write, resize = `"consistent read"`, `shared "write"`, `shared "resize"`
	for _, test := range []struct {
		name             string
		at               []int64
		image, raw, data string // what excludes each reader
	}{
		{"nobody", nil, "", "", ""},
		{"a reader", []int64{100, 201, 203}, "", "", ""},
		{"a writer", []int64{101}, write, "", ""},
		{"one who resizes", []int64{103}, resize, "", resize},
		{"one who does both", []int64{101, 103}, write, "", resize},
		{"one who wants to be alone", []int64{200}, consistentRead, consistentRead, consistentRead},
		{"all of it", []int64{101, 103, 200}, consistentRead, consistentRead, consistentRead},
	} {
		f, name := openNamed(t, "image")
		other, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range test.at {
			l := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart, Start: at, Len: 1}
			if err := unix.FcntlFlock(other.Fd(), unix.F_OFD_SETLK, &l); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // looking locks nothing
			locks, err := f.Locks(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := map[Reader]string{
				ImageReader: test.image, RawReader: test.raw, DataReader: test.data,
			}
			for r, what := range want {
				var locked *LockError
				err := locks.Err(r)
				switch {
				case what == "" && err != nil, what != "" && !errors.As(err, &locked):
					t.Errorf("%s, reader %d: %v", test.name, r, err)
				case locked == nil:
				case !strings.HasPrefix(locked.QemuText(), "Failed to get "+what+" lock\n"),
					!strings.HasSuffix(locked.QemuText(), "the image ["+name+"]?"):
					t.Errorf("%s, reader %d: %q", test.name, r, locked.QemuText())
				}
			}
		}
		other.Close()
		f.Close()
	}
}

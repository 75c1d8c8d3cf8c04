package guestcache

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/needs"
)

func keyOf(n byte) Key { return Key{n} }

func mustStore(t *testing.T, d *Dir, k Key, data string) string {
	t.Helper()
	if err := d.Store(k, []byte(data)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(d.path, k.file())
}

func wantLoad(t *testing.T, d *Dir, k Key, want string) {
	t.Helper()
	if data, err := d.Load(k); err != nil || string(data) != want {
		t.Errorf("%q, %v; want %q", data, err, want)
	}
}

func TestStoreAndLoad(t *testing.T) {
	d := At(filepath.Join(t.TempDir(), "a", "b"))
	wantLoad(t, d, keyOf(1), "")
	if _, err := os.Stat(d.path); !errors.Is(err, os.ErrNotExist) {
		t.Error("Load makes a directory:", err)
	}
	mustStore(t, d, keyOf(1), "one")
	mustStore(t, d, keyOf(2), "two")
	wantLoad(t, d, keyOf(1), "one")
	wantLoad(t, d, keyOf(2), "two")
	wantLoad(t, d, keyOf(3), "")
	name := mustStore(t, d, keyOf(1), "other")
	wantLoad(t, d, keyOf(1), "other")
	for _, n := range []string{d.path, name} {
		if info, err := os.Stat(n); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Error(info.Mode(), err)
		}
	}
	d.Drop(keyOf(1))
	wantLoad(t, d, keyOf(1), "")
}

// TestEveryFlippedByte: a damaged file is never used, and makes room for a new one.
func TestEveryFlippedByte(t *testing.T) {
	d := At(t.TempDir())
	if err := os.Chmod(d.path, 0o700); err != nil {
		t.Fatal(err)
	}
	name := mustStore(t, d, keyOf(1), "some data")
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if data, err := d.Load(keyOf(1)); err == nil || data != nil ||
			!strings.Contains(err.Error(), name) {
			t.Errorf("%q, %v", data, err)
		}
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			t.Error("a damaged file stays:", err)
		}
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1 << (i % 8)
		refused(b)
	}
	for _, n := range []int{0, 1, keyEnd - 1, keyEnd, len(good) - 1} {
		refused(good[:n])
	}
	refused(append(bytes.Clone(good), 0))
	mustStore(t, d, keyOf(1), "again")
	wantLoad(t, d, keyOf(1), "again")
}

// TestNotOurs: what others could have written is not used, and not written to.
func TestNotOurs(t *testing.T) {
	const data = "some data"
	for name, spoil := range map[string]func(dir, file string) error{
		"directory is open to a group": func(dir, _ string) error { return os.Chmod(dir, 0o750) },
		"file is open to others":       func(_, file string) error { return os.Chmod(file, 0o602) },
		"directory is a link": func(dir, _ string) error {
			return errors.Join(os.Rename(dir, dir+"2"), os.Symlink(dir+"2", dir))
		},
		"file is a link": func(_, file string) error {
			return errors.Join(os.Rename(file, file+"2"), os.Symlink(file+"2", file))
		},
		"file is a directory": func(_, file string) error {
			return errors.Join(os.Remove(file), os.Mkdir(file, 0o700))
		},
		"file is a FIFO": func(_, file string) error {
			return errors.Join(os.Remove(file), unix.Mkfifo(file, 0o600))
		},
		"file is too large": func(_, file string) error { return os.Truncate(file, maxFile+1) },
	} {
		t.Run(name, func(t *testing.T) {
			d := At(filepath.Join(t.TempDir(), "cache"))
			file := mustStore(t, d, keyOf(1), data)
			if err := spoil(d.path, file); err != nil {
				t.Fatal(err)
			}
			if got, err := d.Load(keyOf(1)); got != nil || err == nil {
				t.Errorf("%q, %v", got, err)
			}
			err := d.Store(keyOf(1), []byte("new"))
			if strings.HasPrefix(name, "directory is ") != errors.Is(err, ErrNotOurs) &&
				!errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) &&
				!errors.Is(err, unix.EISDIR) {
				t.Error(err)
			}
		})
	}
}

// TestOfAnotherUser: files of somebody else are not used, whatever their modes.
func TestOfAnotherUser(t *testing.T) {
	needs.Root(t)
	for _, dirToo := range []bool{false, true} {
		d := At(filepath.Join(t.TempDir(), "cache"))
		file := mustStore(t, d, keyOf(1), "some data")
		if dirToo {
			file = d.path
		}
		if err := os.Chown(file, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Load(keyOf(1)); got != nil || !errors.Is(err, ErrNotOurs) {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// TestPrune: the newest few are kept, and nothing that is not the cache's is touched.
func TestPrune(t *testing.T) {
	d := At(filepath.Join(t.TempDir(), "cache"))
	old := time.Now().Add(-2 * oldTemporary)
	for i := range byte(most + 3) {
		name := mustStore(t, d, keyOf(i), fmt.Sprint(i))
		if err := os.Chtimes(name, old, old.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	own := filepath.Join(d.path, "notes")
	left := filepath.Join(d.path, keyOf(9).file()+"-1"+temporary)
	young := filepath.Join(d.path, keyOf(9).file()+"-2"+temporary)
	for _, name := range []string{own, left, young} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	mustStore(t, d, keyOf(100), "new")
	names, err := os.ReadDir(d.path)
	if err != nil || len(names) != most+2 {
		t.Errorf("%v, %v", names, err)
	}
	for _, name := range []string{own, young} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	wantLoad(t, d, keyOf(most+2), fmt.Sprint(most+2))
	wantLoad(t, d, keyOf(0), "")
}

// TestConcurrency: a reader sees a whole file or none, whoever writes.
func TestConcurrency(t *testing.T) {
	d := At(filepath.Join(t.TempDir(), "cache"))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 50 {
				if err := d.Store(keyOf(1), bytes.Repeat([]byte{byte(i)}, 10_000)); err != nil {
					t.Error(err)
				}
				data, err := d.Load(keyOf(1))
				if err != nil || len(data) != 10_000 || bytes.Count(data, data[:1]) != 10_000 {
					t.Errorf("%d bytes, %v", len(data), err)
				}
			}
		})
	}
	wg.Wait()
}

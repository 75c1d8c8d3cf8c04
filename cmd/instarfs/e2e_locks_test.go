package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/needs"
)

// lockAsWriter locks an image as a QEMU does that has it open for writing, and returns how to end
// that.
func lockAsWriter(t *testing.T, file string) (unlock func()) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	const usesWrite = 101 // see vmm/image/locks.go
	l := unix.Flock_t{Type: unix.F_RDLCK, Start: usesWrite, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

// TestLocksOfCachedMaps: a map that is at hand is refused as one that must be made, each time, as
// long as a writer has the image, or a file under it, open.
func TestLocksOfCachedMaps(t *testing.T) {
	needs.Qemu(t)
	source := t.TempDir()
	out := bash(t, `set -e; cd $S; qemu-img create -q -f qcow2 base.qcow2 1M
		qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2
		qemu-img create -q -f qcow2 alone.qcow2 1M; truncate -s 1M plain.raw`, "S="+source)
	if out != "" {
		t.Fatal(out)
	}
	for _, share := range []bool{false, true} {
		dir := t.TempDir()
		args := []string{"mount", source, dir}
		if share {
			args = []string{"mount", "-U", source, dir}
		}
		s := serveBy(t, child(walkedChild, args...), source, dir)
		for _, c := range []struct{ read, locked string }{
			{"alone.qcow2", "alone.qcow2"}, {"over.qcow2", "over.qcow2"},
			{"over.qcow2", "base.qcow2"},
		} {
			open := func() error {
				_, err := os.ReadFile(s.path(c.read + ".map.json"))
				return err
			}
			if err := open(); err != nil {
				t.Error(err)
			}
			unlock := lockAsWriter(t, filepath.Join(source, c.locked))
			for range 3 {
				if err := open(); errors.Is(err, syscall.EBUSY) == share || err != nil && share {
					t.Errorf("%s, a writer has %s open, -U %v: %v", c.read, c.locked, share, err)
				}
			}
			if info, err := os.Stat(s.path(c.read + ".map.json")); err != nil || info.Size() == 0 {
				t.Errorf("stat: %v, %v", info, err)
			}
			unlock()
			if err := open(); err != nil {
				t.Errorf("%s after the writer left: %v", c.read, err)
			}
		}
		// The bytes of a raw image mean themselves.
		unlock := lockAsWriter(t, filepath.Join(source, "plain.raw"))
		for range 2 {
			if _, err := os.ReadFile(s.path("plain.raw.map.json")); err != nil {
				t.Error(err)
			}
		}
		unlock()
		if code := s.end(syscall.SIGTERM); code != 0 {
			t.Errorf("status %d: %q", code, s.log())
		}
	}
}

package sealed

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestProgram: the program runs, and nobody can open it to change it.
func TestProgram(t *testing.T) {
	f, err := os.Open("/bin/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := Program(f)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	said, err := (&exec.Cmd{Path: Path(fd), Args: []string{"echo", "here"}}).Output()
	if err != nil || string(said) != "here\n" {
		t.Errorf("it printed %q, %v", said, err)
	}
	if w, err := unix.Open(Path(fd), unix.O_WRONLY, 0); err == nil {
		if n, err := unix.Write(w, []byte("x")); !errors.Is(err, unix.EPERM) {
			t.Errorf("%d bytes were written to it, %v", n, err)
		}
		unix.Close(w)
	}
	if err := unix.Ftruncate(fd, 0); err == nil {
		t.Error("it was truncated")
	}
}

// hold makes a file in memory of one page, which a pipe holds until release.
func hold(t *testing.T) (fd int, release func()) {
	t.Helper()
	fd, err := unix.MemfdCreate("held", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.Write(fd, []byte(strings.Repeat("x", os.Getpagesize()))); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var off int64
	n, err := unix.Splice(fd, &off, int(w.Fd()), nil, os.Getpagesize(), 0)
	if n != int64(os.Getpagesize()) || err != nil {
		t.Fatalf("splice: %d, %v", n, err)
	}
	return fd, func() { r.Close(); w.Close() }
}

// TestHeldPage: a page that something holds for longer than the kernel waits is waited for.
func TestHeldPage(t *testing.T) {
	fd, release := hold(t)
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	if !errors.Is(err, unix.EBUSY) {
		t.Fatalf("the kernel seals a file whose page is held: %v", err)
	}
	timer := time.AfterFunc(300*time.Millisecond, release)
	defer timer.Stop()
	if err := seal(fd); err != nil {
		t.Error(err)
	}
}

// TestPageHeldForGood: seal does not wait for ever.
func TestPageHeldForGood(t *testing.T) {
	fd, release := hold(t)
	defer release()
	if err := seal(fd); !errors.Is(err, unix.EBUSY) {
		t.Error(err)
	}
}

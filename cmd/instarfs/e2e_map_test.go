package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/cmd/instarfs/guests"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/img"
	"instarfs/vmm/chain"
	"instarfs/vmm/session"
)

// What is no image ends the real program with one line. Nothing that is not a file of bytes is
// waited for.
func TestMapOfWhatIsNoImage(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	socket, err := net.Listen("unix", "socket")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	const notRegular = "not a regular file or block device"
	if err := errors.Join(unix.Mkfifo("fifo", 0o666), os.Symlink("loop", "loop"),
		os.Symlink("none", "dangling"),
		os.WriteFile("file", nil, 0o666), os.Symlink("fifo", "link to fifo")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"none":     "none: open: no such file or directory",
		"dangling": "dangling: open: no such file or directory",
		"file/x":   "file/x: open: not a directory",
		"loop":     "loop: open: too many levels of symbolic links",
		"fifo":     "fifo: " + notRegular, "link to fifo": `"link to fifo": ` + notRegular,
		dir:                      dir + ": " + notRegular,
		"/dev/null":              "/dev/null: " + notRegular,
		"socket":                 "socket: open: no such device or address",
		strings.Repeat("x", 256): strings.Repeat("x", 256) + ": open: file name too long",
		"a\nb\u009b31mX":         `"a\x0ab\xc2\x9b31mX": open: no such file or directory`,
	} {
		if stdout, stderr, code := command(t, "map", name); code != 1 || stdout != "" ||
			stderr != "instarfs: map "+want+"\n" {
			t.Errorf("map %q: status %d, prints %q and %q, want %q", name, code, stdout, stderr,
				want)
		}
	}
}

// Sizes at the ends: no byte, more than sectors of 32 bits can count, all that a file can have, all
// that a header can claim.
func TestMapOfExtremeSizes(t *testing.T) {
	o := newOracle(t)
	t.Chdir(o.dir)
	real := realTool(t)
	writeAt(t, "empty", nil)
	writeAt(t, "3TiB", map[int64]string{2<<40 - 1: "over 2 TiB", 3 << 40: "x"})
	for name, size := range map[string]uint64{"max": 1<<63 - 1, "over": 1 << 63, "all": 1<<64 - 1,
		"exbibyte": 1 << 60} {
		q := qcow2test.New(1<<20, 21)
		q.Data(0, 1)
		q.Spoil64(qcow2test.OffSize, size)
		writeImage(t, name, q)
	}
	for _, name := range []string{"empty", "3TiB", "max", "over", "all", "exbibyte"} {
		for _, args := range []string{"", "-s\x001\x00", "-s\x007E\x00-l\x001\x00", "-s\x002T\x00",
			"-l\x009223372036854775807\x00"} {
			o.compareWith(t, real, args+"--output=json\x00"+name)
			o.compareWith(t, real, args+name)
		}
	}
}

// removingRunner removes the file whose map it is about to make.
type removingRunner struct {
	guests.Pool
	file string
}

func (r *removingRunner) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	if err := os.Remove(r.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return r.Pool.Run(ctx, job)
}

// A file that is removed while it is mapped has the content that it had. The next map finds none.
func TestMapOfRemovedFile(t *testing.T) {
	pool := realGuests(t, testIsolation(t))
	file := filepath.Join(t.TempDir(), "a.qcow2")
	writeAt(t, file, map[int64]string{0: string(variant(0))})
	e := &oneMap{pool, chain.NewEngine(&removingRunner{pool, file}, chain.Access{}, chain.Limits{}),
		func() {}}
	defer e.Close()
	o := mapOptions{Window: img.Whole, SectorSize: 65536}
	if r, err := e.Map(t.Context(), file, o); err != nil || r.Map.End() != r.VirtualSize {
		t.Error(r, err)
	}
	_, err := e.Map(t.Context(), file, o)
	if !errors.Is(err, syscall.ENOENT) || err.Error() != "map "+file+
		": open: no such file or directory" {
		t.Error(err)
	}
}

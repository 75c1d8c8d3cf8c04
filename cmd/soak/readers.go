package main

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"
)

// readers read the mount as root.
func (w *world) readers() []step {
	return []step{
		w.readGood, w.readGood, w.readGood, w.readGood, w.readBad, w.readNet, w.readNet,
		w.walk, w.kill, w.holdOpen,
	}
}

// readGood reads the map of a subject, and checks that it is one of its maps.
func (w *world) readGood(_ context.Context, r *rand.Rand) error {
	s, view := pick(r, w.all), pick(r, views)
	before := s.now.Load()
	begin := time.Now()
	got, err := os.ReadFile(filepath.Join(w.point, s.name+view))
	w.tally.took(time.Since(begin))
	w.judge(s, view, got, err, before, s.now.Load())
	return nil
}

// judge counts the answer to a read of a subject by a user who may read it.
func (w *world) judge(s *subject, view string, got []byte, err error, before, after *moment) {
	w.tally.did("read")
	switch {
	case err == nil && !s.matches(view, got, before, after):
		what := "wrong bytes of an "
		if m := stable(before, after); m != nil && bytes.Equal(got, s.maps[1-m.variant][view]) {
			what = "old map of an "
		}
		w.tally.fault(what+s.kind, "%s: %d bytes, want %d or %d: %.400q", s.name+view, len(got),
			len(s.maps[0][view]), len(s.maps[1][view]), got)
	case err == nil:
	case stable(before, after) == nil && s.busy:
		w.tally.failed("an "+s.kind, s.name+view, err, syscall.EBUSY)
	case stable(before, after) == nil && s.kind == coming:
		w.tally.failed("an "+s.kind, s.name+view, err, syscall.ENOENT)
	default:
		w.tally.failed("an "+s.kind, s.name+view, err)
	}
}

// usual are the errors of images that are damaged, vanish, or become something else.
var usual = []syscall.Errno{
	syscall.ENOENT, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP, syscall.EACCES, syscall.EIO,
	syscall.EINVAL, syscall.EOPNOTSUPP, syscall.EBUSY, syscall.EFBIG,
	syscall.EOVERFLOW, syscall.ENOKEY,
}

// readBad reads arbitrary files. The read must end.
func (w *world) readBad(_ context.Context, r *rand.Rand) error {
	name, limit := w.rough(r.Int()), int64(1<<20)
	switch r.Intn(4) {
	case 0, 1:
		name = w.damaged(r.Int())
	case 2:
		name = w.slowly(r.Int())
		if r.Intn(8) == 0 {
			limit = 1 << 30
		}
	}
	f, err := os.Open(filepath.Join(w.point, name+pick(r, append(views, reason))))
	w.tally.did("read")
	if err != nil {
		w.tally.failed("a bad image", name, err, usual...)
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	switch {
	case err != nil:
		w.tally.failed("reading a bad image", name, err, usual...)
	case filepath.Ext(f.Name()) == ".json" && int64(len(b)) < limit && !isMap(b):
		w.tally.fault("half a map", "%s: %d bytes", name, len(b))
	}
	return nil
}

// readNet reads an image whose file system may not answer.
func (w *world) readNet(ctx context.Context, r *rand.Rand) error {
	s, view := pick(r, w.net), pick(r, views)
	m := s.now.Load()
	got, err := os.ReadFile(filepath.Join(w.point, s.name+view))
	if err != nil {
		w.tally.failed("an "+s.kind, s.name+view, err, syscall.ETIMEDOUT)
	} else {
		w.judge(s, view, got, err, m, m)
	}
	pause(ctx, 20*time.Millisecond)
	return nil
}

// walk lists the whole tree, now and then with sizes.
func (w *world) walk(ctx context.Context, r *rand.Rand) error {
	long := r.Intn(4) == 0
	err := filepath.WalkDir(w.point, func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return fs.SkipAll
		case err != nil:
			w.tally.failed("a listing", name, err, syscall.ENOENT, syscall.ETIMEDOUT,
				syscall.ENOTDIR)
		case long:
			if _, err := d.Info(); err != nil {
				w.tally.failed("a stat", name, err, append(usual, syscall.ETIMEDOUT)...)
			}
		}
		return nil
	})
	pause(ctx, 200*time.Millisecond)
	return err
}

// kill ends programs while they read.
func (w *world) kill(ctx context.Context, r *rand.Rand) error {
	name := pick(r, []string{
		pick(r, w.all).name, w.slowly(r.Int()), w.damaged(r.Int()), pick(r, w.net).name,
	})
	program := pick(r, []string{"cat", "stat"})
	cmd := exec.Command(program, filepath.Join(w.point, name+pick(r, views)))
	if err := cmd.Start(); err != nil {
		return err
	}
	pause(ctx, time.Duration(r.Intn(40))*time.Millisecond)
	_ = cmd.Process.Kill()
	begin := time.Now()
	_ = cmd.Wait() // it may have ended before
	if took := time.Since(begin); took > longestKill {
		w.tally.fault("a program that was killed stays", "%q: %v", cmd.Args, took)
	}
	w.tally.did("kill")
	pause(ctx, 30*time.Millisecond)
	return nil
}

// longestKill is how long a program that waits for a map may take to end.
const longestKill = 10 * time.Second

// holdOpen reads the same open file many times, by calls and by a mapping: it must not change.
func (w *world) holdOpen(ctx context.Context, r *rand.Rand) (err error) {
	s, view := pick(r, w.all), pick(r, views)
	before := s.now.Load()
	f, err := os.Open(filepath.Join(w.point, s.name+view))
	if err != nil {
		w.judge(s, view, nil, err, before, s.now.Load())
		return nil
	}
	defer f.Close()
	first, err := io.ReadAll(f)
	w.judge(s, view, first, err, before, s.now.Load())
	if err != nil {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Size() != int64(len(first)) {
		w.tally.fault("wrong size of an open file", "%s: %d bytes, %v", s.name, len(first), err)
	}
	mapped, err := syscall.Mmap(int(f.Fd()), 0, len(first), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		w.tally.failed("a mapping", s.name+view, err)
		return nil
	}
	defer syscall.Munmap(mapped)
	// A file that became shorter ends the program, unless that is a panic.
	debug.SetPanicOnFault(true)
	defer func() {
		if p := recover(); p != nil {
			w.tally.fault("an open file became shorter", "%s: %v", s.name+view, p)
		}
	}()
	for range 1 + r.Intn(10) {
		pause(ctx, time.Duration(r.Intn(200))*time.Millisecond)
		again := make([]byte, len(first)+1)
		n, err := f.ReadAt(again, 0)
		if err != io.EOF || !bytes.Equal(again[:n], first) || !bytes.Equal(mapped, first) {
			w.tally.fault("an open file changed", "%s: %d bytes, then %d, %v", s.name+view,
				len(first), n, err)
		}
		w.tally.did("read")
	}
	return nil
}

package main

import (
	"context"
	"math/rand"
	"os"
	"syscall"
	"time"
)

// step is what a reader or a writer repeats.
type step = func(ctx context.Context, r *rand.Rand) error

// writers change the source. They are slow enough for readers to see most changes.
func (w *world) writers() []step {
	paced := func(f func(r *rand.Rand) error) step {
		return func(ctx context.Context, r *rand.Rand) error {
			if err := f(r); err != nil {
				return err
			}
			w.tally.did("change")
			pause(ctx, time.Duration(r.Intn(100))*time.Millisecond)
			return nil
		}
	}
	return []step{
		paced(w.replaceOne), paced(w.replaceOne), paced(w.writeInPlace), paced(w.moveDirectory),
		paced(w.closeOne), paced(w.closeDirectory), paced(w.beRough), paced(w.damage),
		paced(w.touchSlow),
		w.hang,
	}
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.Intn(len(list))] }

// replaceOne gives an image, or the base of an overlay, another content by a rename.
func (w *world) replaceOne(r *rand.Rand) error {
	s := pick(r, w.kinds[pick(r, []string{renamed, overBase, secret, closing, published})])
	next := *s.now.Load()
	next.variant = r.Intn(variants)
	return w.set(s, next)
}

// closeOne closes an image to other users, or opens it again.
func (w *world) closeOne(r *rand.Rand) error {
	s := pick(r, w.kinds[pick(r, []string{closing, published})])
	next := *s.now.Load()
	next.closed = !next.closed
	if r.Intn(2) == 0 {
		return w.set(s, next)
	}
	return s.become(next, func() error { return os.Chmod(w.path(s.base), modeOf(next)) })
}

func modeOf(m moment) os.FileMode {
	if m.closed {
		return 0o600
	}
	return 0o644
}

// set replaces a subject's file by one of a content and a mode.
func (w *world) set(s *subject, next moment) error {
	next.changing = false
	return s.become(next, func() error {
		return replace(w.path(s.base), w.contents[next.variant], modeOf(next))
	})
}

// writeInPlace writes an image as a whole, in one call.
func (w *world) writeInPlace(r *rand.Rand) error {
	s := pick(r, w.kinds[inPlace])
	next := moment{variant: r.Intn(variants)}
	return s.become(next, func() error {
		f, err := os.OpenFile(w.path(s.base), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt(w.contents[next.variant], 0)
		return err
	})
}

// moveDirectory moves a directory away for a moment.
func (w *world) moveDirectory(*rand.Rand) error {
	return together(w.kinds[coming], false, func() error {
		if err := os.Rename(w.path("come"), w.path("gone")); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
		return os.Rename(w.path("gone"), w.path("come"))
	})
}

// closeDirectory closes a directory to others, or opens it. Its images stay unchanged.
func (w *world) closeDirectory(*rand.Rand) error {
	list := w.kinds[closedDir]
	closed := !list[0].now.Load().closed
	mode := os.FileMode(0o755)
	if closed {
		mode = 0o700
	}
	return together(list, closed, func() error { return os.Chmod(w.path("closing"), mode) })
}

// together changes several subjects at once.
func together(list []*subject, closed bool, change func() error) error {
	if len(list) == 0 {
		return change()
	}
	s := list[0]
	next := moment{variant: s.now.Load().variant, closed: closed}
	return s.become(next, func() error { return together(list[1:], closed, change) })
}

// beRough does to an image what programs should not do.
func (w *world) beRough(r *rand.Rand) error {
	name := w.path(w.rough(r.Intn(perKind)))
	gone := func(instead func() error) error {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
		return instead()
	}
	switch r.Intn(9) {
	case 0:
		return ignoreMissing(os.Truncate(name, int64(r.Intn(len(w.contents[0])))))
	case 1:
		return ignoreMissing(os.Truncate(name, int64(len(w.contents[0])+r.Intn(1<<20))))
	case 2:
		return ignoreMissing(os.Chmod(name, pick(r, []os.FileMode{0, 0o400, 0o644})))
	case 3:
		return gone(func() error { return nil })
	case 4:
		return gone(func() error { return os.Mkdir(name, 0o755) })
	case 5:
		return gone(func() error { return syscall.Mkfifo(name, 0o644) })
	case 6:
		return gone(func() error {
			return os.Symlink(pick(r, []string{"target.qcow2", "/etc/passwd", "0.qcow2", "."}),
				name)
		})
	case 7:
		return punch(name, int64(r.Intn(400_000)), int64(1+r.Intn(300_000)))
	}
	return gone(func() error { return os.WriteFile(name, w.contents[r.Intn(variants)], 0o644) })
}

func ignoreMissing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return ignoreKind(err)
}

// ignoreKind returns nil for the errors of a name that is not a file.
func ignoreKind(err error) error {
	for _, e := range []syscall.Errno{syscall.EISDIR, syscall.ENXIO, syscall.EINVAL,
		syscall.ELOOP} {
		if pathError, ok := err.(*os.PathError); ok && pathError.Err == e {
			return nil
		}
	}
	return err
}

// punch makes a hole in a file.
func punch(name string, off, n int64) error {
	const keepSizePunchHole = 1 | 2 // linux/falloc.h
	f, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return ignoreMissing(err)
	}
	defer f.Close()
	err = syscall.Fallocate(int(f.Fd()), keepSizePunchHole, off, n)
	if err == syscall.ESPIPE || err == syscall.ENODEV { // a FIFO
		return nil
	}
	return err
}

// damage makes another damaged image.
func (w *world) damage(r *rand.Rand) error {
	return replace(w.path(w.damaged(r.Intn(perKind))), damaged(r, pick(r, w.contents[:])), 0o644)
}

// touchSlow changes a slow image, so that it must be mapped again.
func (w *world) touchSlow(r *rand.Rand) error {
	time.Sleep(time.Duration(r.Intn(2000)) * time.Millisecond)
	return os.Chtimes(w.path(w.slowly(r.Intn(perKind))), time.Time{}, time.Now())
}

// hang stops the program that serves a part of the source, and lets it continue.
func (w *world) hang(ctx context.Context, r *rand.Rand) error {
	pause(ctx, time.Duration(r.Intn(3000))*time.Millisecond)
	if err := w.below.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pause(ctx, time.Duration(pick(r, []int{500, 2000, 2000, 10_000}))*time.Millisecond)
	w.tally.did("change")
	return w.below.signal(syscall.SIGCONT)
}

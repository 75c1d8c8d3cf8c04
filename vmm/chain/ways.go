package chain

import (
	"context"
	"path"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
)

// What everybody may see needs to be kept from nobody: not from callers whose rights are not known,
// and not from the kernel's caches.

// everybody checks, for a caller whose rights are not known exactly, that they do not matter: each
// class of users may search all directories on the way to a place, and has bits of the mode of what
// is there.
func (e *Engine) everybody(ctx context.Context, who *Caller, at files.Place, bits uint32) error {
	if who == nil || who.exact() {
		return nil
	}
	open, err := e.openToAll(ctx, at, bits)
	if err == nil && !open {
		err = unix.EACCES
	}
	return err
}

// openToAll reports whether each class of users may search all directories on the way to a place,
// those above its tree included, and has bits of the mode of what is there.
func (e *Engine) openToAll(ctx context.Context, at files.Place, bits uint32) (bool, error) {
	open, err := e.wayOpen(ctx, files.Place{Tree: at.Tree, Path: path.Dir(at.Path)})
	if !open || err != nil || bits == 0 {
		return open, err
	}
	return e.allows(ctx, at, bits)
}

// wayOpen reports whether each class of users may search a directory and all those on the way to
// it.
func (e *Engine) wayOpen(ctx context.Context, dir files.Place) (bool, error) {
	return e.ways.load(dir, func() (bool, error) {
		if dir.Path == "." {
			if open, err := e.host.AboveOpen(ctx, dir.Tree); !open || err != nil {
				return false, err
			}
		} else if open, err := e.wayOpen(ctx, files.Place{Tree: dir.Tree, Path: path.Dir(dir.Path)}); !open || err != nil {
			return false, err
		}
		return e.allows(ctx, dir, 0o111)
	})
}

// allows reports whether each class of users has bits of the mode of what is at a place. Who may
// follow a link is another question.
func (e *Engine) allows(ctx context.Context, at files.Place, bits uint32) (bool, error) {
	f, err := e.host.Find(ctx, nil, at, nil, false)
	if err != nil {
		return false, err
	}
	defer f.Close()
	mode := f.Stat.Mode
	return len(f.List) == 0 && mode&unix.S_IFMT != unix.S_IFLNK && mode&bits == bits, nil
}

// Public reports whether everybody may search a directory: what is known of its files need not be
// kept from anybody then.
func (s *Source) Public(ctx context.Context, dir string) bool {
	open, err := s.engine.wayOpen(ctx, s.place(dir))
	return err == nil && open
}

// ways remembers for a moment which directories everybody can reach.
type ways struct {
	mu    sync.Mutex
	known map[files.Place]way
}

type way struct {
	open bool
	at   time.Time
}

const (
	// wayAge is how long an answer counts: as long as the kernel keeps what it is told by a mount.
	wayAge = time.Second
	// maxWays bounds what is remembered.
	maxWays = 4096
)

func (w *ways) load(dir files.Place, ask func() (bool, error)) (bool, error) {
	now := time.Now()
	w.mu.Lock()
	k, ok := w.known[dir]
	w.mu.Unlock()
	if ok && now.Sub(k.at) < wayAge {
		return k.open, nil
	}
	open, err := ask()
	if err != nil {
		return false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil || len(w.known) >= maxWays {
		w.known = map[files.Place]way{}
	}
	w.known[dir] = way{open, now}
	return open, nil
}

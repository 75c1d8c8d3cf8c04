package files

import (
	"context"
	"path"

	"golang.org/x/sys/unix"
)

// What all users may see need not be hidden from any: neither from callers whose rights are not
// known, nor from the kernel's caches.

// OpenToAll reports whether each class of users may search all directories on the way to a place,
// those above its tree included, and has bits of the mode of what is there.
func (h *Host) OpenToAll(ctx context.Context, at Place, bits uint32) (bool, error) {
	open, err := h.SearchableByAll(ctx, Place{Tree: at.Tree, Path: path.Dir(at.Path)})
	if !open || err != nil || bits == 0 {
		return open, err
	}
	return h.allows(ctx, at, bits)
}

// SearchableByAll reports whether each class of users may search a directory and all directories on
// the way to it.
func (h *Host) SearchableByAll(ctx context.Context, dir Place) (bool, error) {
	return h.recent.load(dir, func() (bool, error) {
		var above bool
		var err error
		if dir.Path == "." {
			above, err = h.AboveOpen(ctx, dir.Tree)
		} else {
			above, err = h.SearchableByAll(ctx, Place{Tree: dir.Tree, Path: path.Dir(dir.Path)})
		}
		if !above || err != nil {
			return false, err
		}
		return h.allows(ctx, dir, 0o111)
	})
}

// allows reports whether each class of users has bits of the mode of what is at a place. It is
// false for a link: who may follow one is another question.
func (h *Host) allows(ctx context.Context, at Place, bits uint32) (bool, error) {
	f, err := h.Find(ctx, nil, at, nil, false)
	if err != nil {
		return false, err
	}
	defer f.Close()
	mode := f.Stat.Mode
	return len(f.List) == 0 && mode&unix.S_IFMT != unix.S_IFLNK && mode&bits == bits, nil
}

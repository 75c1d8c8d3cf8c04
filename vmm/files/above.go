package files

import (
	"context"

	"golang.org/x/sys/unix"

	"instarfs/vmm/gate"
)

// passAbove checks that u may search the directories above a tree, if u.Above says so, and the tree
// itself.
func (t *Tree) passAbove(u *gate.User) error {
	if u == nil || !u.Above || t.up == "" {
		return nil
	}
	root, err := openHow(t.fd, t.up, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err == nil {
		unix.Close(root)
	}
	return err
}

// AboveOpen reports whether each class of users may search the directories above a tree.
func (h *Host) AboveOpen(ctx context.Context, t *Tree) (bool, error) {
	return gate.Do(ctx, h.Gate, gate.On{Device: t.dev}, nil, func() (bool, error) {
		for up := t.up; up != ""; up = up[len("../"):] {
			open, err := searchable(t.fd, up)
			if !open || err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// searchable reports whether each class of users may search a directory.
func searchable(dir int, path string) (bool, error) {
	fd, err := openHow(dir, path, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, err
	}
	list, err := listed(ProcFD(fd), st.Mode)
	return st.Mode&0o111 == 0o111 && len(list) == 0, err
}

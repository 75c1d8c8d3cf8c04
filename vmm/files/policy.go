package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"instarfs/vmm/gate"
)

// RightsOf returns the rights with which the files that a file names are opened: those of its owner
// and group, because what users cannot read themselves they must not read through this process. Nil
// is the rights of this process: an ordinary user has no others.
func (h *Host) RightsOf(st *unix.Stat_t) *gate.User {
	if h.Policy.OwnRights || os.Geteuid() != 0 || st.Uid == 0 {
		return nil
	}
	return &gate.User{UID: st.Uid, GID: st.Gid}
}

// Roots are the trees in which images may name files, in addition to their own tree.
func (h *Host) Roots() []*Tree {
	allow := h.Policy.Allow
	if h.root != nil {
		return append(allow[:len(allow):len(allow)], h.root)
	}
	return allow
}

// Places returns where a name that starts from a place may be, by the names alone.
func (h *Host) Places(from Place, name string) (list []Place) {
	abs := name
	if !filepath.IsAbs(name) {
		list = append(list, from.Beside(name))
		abs = from.Beside(name).Abs()
	}
	for _, t := range append([]*Tree{from.Tree}, h.Roots()...) {
		if rest, ok := t.Inside(filepath.Clean(abs)); ok {
			list = append(list, Place{Tree: t, Path: rest})
		}
	}
	return list
}

// maxName is PATH_MAX: no longer name can be opened.
const maxName = 4096

// FindReference finds the file that another file names, and its place. from is where that other
// file lies, and owner its stat. A name that lies in one of the trees may still lead out of it
// through a link: then the next tree is tried. The error is ErrNone or ErrOutside if the policy
// forbids the file.
func (h *Host) FindReference(
	ctx context.Context, from Place, owner *unix.Stat_t, name string,
) (*File, Place, error) {
	if h.Policy.References == None {
		return nil, Place{}, ErrNone
	}
	if len(name) >= maxName {
		return nil, Place{}, unix.ENAMETOOLONG
	}
	for _, at := range h.Places(from, name) {
		u := h.RightsOf(owner)
		f, err := h.Find(ctx, u, at, h.Roots(), true)
		if !errors.Is(err, ErrOutside) {
			return f, at, WithOwner(u, err)
		}
	}
	return nil, Place{}, ErrOutside
}

// ownerError says that the owner of a file may not open what the file names.
type ownerError struct {
	uid uint32
	err error
}

func (e *ownerError) Unwrap() error { return e.err }

func (e *ownerError) Error() string {
	return fmt.Sprintf("%v for user %d, who owns the file that names it "+
		"(--reference-rights mount opens it all the same)", e.err, e.uid)
}

// WithOwner adds to a lack of rights whose rights these were, unless they were those of this
// process.
func WithOwner(u *gate.User, err error) error {
	if u != nil && errors.Is(err, unix.EACCES) {
		return &ownerError{u.UID, err}
	}
	return err
}

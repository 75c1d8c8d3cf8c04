package chain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// References says which of the files that images name are opened.
type References uint8

const (
	// Beneath opens what lies beneath the tree of the image, or of Access.Allow.
	Beneath References = iota
	// None opens nothing.
	None
	// Any opens what qemu would open, as long as it is a regular file.
	Any
)

// DefaultMaxDepth is how many backing files an image may have, one under the other, where Access
// does not say.
const DefaultMaxDepth = 64

// Access is what an engine may open in addition to the images that it is told to map. What an image
// says is not enough.
type Access struct {
	References References
	Allow      []*files.Tree // in addition to the tree that the image lies in
	MaxDepth   int           // backing files under an image; 0 is DefaultMaxDepth
	ForceShare bool          // do not mind the locks of QEMU, see lock.go
	Shared     bool          // a Source is listed to others than who mounted
	// OwnRights opens what an image names with the rights of this process. By default they are
	// those of the owner of the file that names it, as far as this process can act for others.
	OwnRights bool
}

var errNone = errors.New("references are not followed")

// refused reports whether an error is a decision of the policy. Nothing of the file shows then, not
// even whether it exists.
func refused(err error) bool {
	return errors.Is(err, files.ErrOutside) || errors.Is(err, errNone) || errors.Is(err, errProtocol) || errors.Is(err, ErrNotRegular)
}

// rights are those with which the files that n names are opened.
func (e *Engine) rights(n *node) *gate.User { return e.rightsOf(&n.st) }

// rightsOf are those of a file's owner and group, for nobody may see through the eyes of this
// process what he may not see himself. An ordinary user has no rights but his own.
func (e *Engine) rightsOf(st *unix.Stat_t) *gate.User {
	if e.access.OwnRights || os.Geteuid() != 0 || st.Uid == 0 {
		return nil
	}
	return &gate.User{UID: st.Uid, GID: st.Gid}
}

// maxName is PATH_MAX: no longer name can be opened.
const maxName = 4096

// find finds what a name means that n holds. What is beneath one of the trees by its name may still
// lead out of it by a link: the next one is tried then.
func (e *Engine) find(ctx context.Context, n *node, name string) (*files.File, files.Place, error) {
	if e.access.References == None {
		return nil, files.Place{}, errNone
	}
	if len(name) >= maxName {
		return nil, files.Place{}, unix.ENAMETOOLONG
	}
	for _, at := range e.places(n.at, name) {
		u := e.rights(n)
		f, err := e.host.Find(ctx, u, at, e.roots(), true)
		if !errors.Is(err, files.ErrOutside) {
			return f, at, ownerMay(u, err)
		}
	}
	return nil, files.Place{}, files.ErrOutside
}

// ownerError is that the owner of a file may not open what it names.
type ownerError struct {
	uid uint32
	err error
}

func (e *ownerError) Unwrap() error { return e.err }

func (e *ownerError) Error() string {
	return fmt.Sprintf("%v for user %d, who owns the file that names it (--reference-rights mount opens it all the same)",
		e.err, e.uid)
}

// ownerMay says in an error whose rights did not suffice, if they were not those of this process.
func ownerMay(u *gate.User, err error) error {
	if u != nil && errors.Is(err, unix.EACCES) {
		return &ownerError{u.UID, err}
	}
	return err
}

// places are where a name that starts from a place may be, by the names alone.
func (e *Engine) places(from files.Place, name string) (list []files.Place) {
	abs := name
	if !filepath.IsAbs(name) {
		list = append(list, from.Beside(name))
		abs = from.Beside(name).Abs()
	}
	for _, t := range append([]*files.Tree{from.Tree}, e.roots()...) {
		if rest, ok := t.Inside(filepath.Clean(abs)); ok {
			list = append(list, files.Place{Tree: t, Path: rest})
		}
	}
	return list
}

// roots are the trees that may be read in addition to that of an image.
func (e *Engine) roots() []*files.Tree {
	if e.access.References == Any && e.everything != nil {
		return append(e.access.Allow[:len(e.access.Allow):len(e.access.Allow)], e.everything)
	}
	return e.access.Allow
}

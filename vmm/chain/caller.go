package chain

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"instarfs/guest/img"
	"instarfs/vmm/files"
	"instarfs/vmm/gate"
)

// Caller is somebody who asks for a map: who may have it is who may read every file that it shows.
// Nil is who mounted.
type Caller struct {
	UID, GID uint32
	Groups   []uint32
	Known    bool // Groups are all groups of the caller
}

// user are the rights that calls for who are made with; nil are those of this process. That is no
// answer for a caller whose rights are not known or cannot be had: everybody is asked then.
func (who *Caller) user() *gate.User {
	if who == nil || !who.exact() {
		return nil
	}
	return &gate.User{UID: who.UID, GID: who.GID, Groups: who.Groups, Above: true}
}

func (who *Caller) exact() bool { return who.Known && gate.CanBecome() }

// seen checks that who may know of a place: that he may search the directories on the way.
func (e *Engine) seen(ctx context.Context, who *Caller, at files.Place) error {
	return e.everybody(ctx, who, at, 0)
}

// read opens a file that was found at a place, as somebody, and gives it to look, which may be nil.
// The error is ErrChanging where another file lies there by now, or none.
func (e *Engine) read(ctx context.Context, who *Caller, at files.Place, st *unix.Stat_t, look func(fd int) error) error {
	if look == nil {
		look = func(int) error { return nil }
	}
	err := e.everybody(ctx, who, at, 0o444)
	if err == nil {
		err = e.host.Read(ctx, who.user(), at, st, look)
	}
	for _, gone := range []error{files.ErrReplaced, unix.ENOENT, unix.ENOTDIR, unix.ELOOP} {
		if errors.Is(err, gone) {
			return ErrChanging
		}
	}
	return err
}

// step is a file that a map shows, in addition to the image itself.
type step struct {
	at    files.Place
	st    unix.Stat_t
	kind  img.Kind
	depth int
	name  string // as the file has it that names it
	label string // as it is shown
	raw   bool   // its locks are those of a raw image
}

// steps are the files of a chain but for the image itself.
func (c *chain) steps() (list []step) {
	for _, n := range c.files()[1:] {
		list = append(list, n.step())
	}
	return list
}

func (n *node) step() step {
	raw := n.layer != nil && n.layer.Format == img.Raw
	return step{n.at, n.st, n.kind, n.depth, n.named, n.name, raw}
}

// mayRead checks that who may read the files of a map, each by its own way. Of one that he may not
// read he learns no more than that, and nothing of those that it names. Where locks are minded
// those of all files are.
func (e *Engine) mayRead(ctx context.Context, who *Caller, steps []step, locks bool) error {
	if who == nil && !locks {
		return nil
	}
	for i := range steps {
		s := &steps[i]
		err := e.read(ctx, who, s.at, &s.st, func(fd int) error {
			if !locks {
				return nil
			}
			return usersOf(fd, s.label).err(s.raw, s.kind == img.DataFile)
		})
		if err != nil {
			return &referenceError{kind: s.kind, name: s.name, label: s.label, depth: s.depth, err: err}
		}
	}
	return nil
}

// told is what who is told of a file that could not be opened: that it is not there only if he can
// see that himself.
func (e *Engine) told(ctx context.Context, who *Caller, at []files.Place, err error) error {
	var ref *referenceError
	if who == nil || len(at) == 0 || !errors.As(err, &ref) || refused(ref.err) {
		return err
	}
	own := e.seen(ctx, who, at[0])
	if own == nil {
		var f *files.File
		if f, own = e.host.Find(ctx, who.user(), at[0], e.roots(), true); own == nil {
			f.Close()
		}
	}
	if errors.Is(own, unix.EACCES) {
		hidden := *ref
		hidden.err = unix.EACCES
		return &hidden
	}
	return err
}

// Check reports why who may not have the map of a generation of an image, or why nobody may now
// because a writer has one of its files open. It never runs a guest; known is false where the map
// is not kept, or the image is another by now, and so nothing is said of files under the image.
func (s *Source) Check(ctx context.Context, who *Caller, p string, g Generation) (known bool, err error) {
	locks := !s.engine.access.ForceShare
	// What is kept may also be why there is no map.
	v, _ := s.engine.maps.Peek(key{g, s.label(p)})
	known = v.result != nil
	raw := known && v.result.Format == "raw"
	if !known {
		v, _ = s.engine.maps.Peek(key{generation: g})
		known = v.layer != nil && len(v.layer.References) == 0
		raw = known && v.layer.Format == img.Raw
	}
	if who == nil && (!locks || !known) {
		return known, nil
	}
	err = s.lookAt(ctx, who, p, func(fd int) error {
		if !known || !locks {
			return nil
		}
		return usersOf(fd, s.label(p)).err(raw, false)
	})
	if err == nil && v.result != nil {
		err = s.engine.mayRead(ctx, who, v.result.steps, locks)
	}
	switch {
	case errors.Is(err, ErrChanging):
		return false, nil
	case err != nil:
		return known, failure(s.label(p), err)
	}
	return known, nil
}

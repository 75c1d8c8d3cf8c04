package source

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/vmm/chain"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/gate"
	"instarfs/vmm/image"
)

// Map returns the map of an image as it is now, and the generation that it is the map of. Errors
// are *failure.Error.
func (s *Source) Map(
	ctx context.Context, who *files.Caller, p string,
) (*extent.Map, chain.Generation, error) {
	open := func() (*image.File, error) { return s.openImage(ctx, who, p) }
	r, g, err := s.engine.Map(ctx, s.label(p), s.mapping(p), who, open)
	if err != nil {
		return nil, g, err
	}
	if r.Failed != nil {
		return nil, g, failure.New(s.label(p), r.Failed) // half a map is no file
	}
	return r.Map, g, nil
}

// Cached returns the map of a generation of an image if it is kept. Whether a caller may have it is
// for Check to say.
func (s *Source) Cached(p string, g chain.Generation) (*extent.Map, bool) {
	return s.engine.Cached(s.label(p), g)
}

// Check reports why a caller may not have the map of a generation of an image, or why no caller
// may now, because a writer has one of its files open. It never runs a guest. known is false if
// the map is not kept, or if the image is another one by now: then nothing is said of the files
// under the image.
func (s *Source) Check(
	ctx context.Context, who *files.Caller, p string, g chain.Generation,
) (known bool, err error) {
	look := func(look func(fd int) error) error { return s.lookAt(ctx, who, p, look) }
	return s.engine.Check(ctx, who, s.label(p), g, look)
}

// openImage opens an image of the tree, on behalf of who.
func (s *Source) openImage(
	ctx context.Context, who *files.Caller, p string,
) (*image.File, error) {
	f, u, err := s.findImage(ctx, who, p)
	if err != nil {
		return nil, err
	}
	i, err := image.Open(ctx, s.host, u, f, s.place(p), s.label(p))
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return i, nil
}

// lookAt opens an image of the tree, on behalf of who, and passes it to look.
func (s *Source) lookAt(
	ctx context.Context, who *files.Caller, p string, look func(fd int) error,
) error {
	f, u, err := s.findImage(ctx, who, p)
	if err != nil {
		return err
	}
	return s.host.Look(ctx, u, f, look)
}

// findImage finds an image of the tree, which must be opened with the rights of u, or which
// the caller may read. A link leads to a file in an allowed directory, if the owner of the link
// could follow it: where a link to a file in the tree leads is for the reader of the mount to find
// out.
func (s *Source) findImage(
	ctx context.Context, who *files.Caller, p string,
) (f *files.File, u *gate.User, err error) {
	if f, err = s.find(ctx, who, p); err != nil {
		return nil, nil, fmt.Errorf("open: %w", err)
	}
	if f.Stat.Mode&unix.S_IFMT == unix.S_IFLNK {
		link := f
		f, err = s.linkedImage(ctx, linkReader(who), p, link)
		link.Close()
		if err != nil {
			return nil, nil, err
		}
		err = s.engine.ReadAs(ctx, who, s.place(p), &f.Stat, nil)
	} else {
		s.admit(f) // what cannot be an image cannot be opened
		u = who.User()
		err = s.host.CheckUnknown(ctx, who, s.place(p), 0o444)
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("open: %w", err)
	}
	return f, u, nil
}

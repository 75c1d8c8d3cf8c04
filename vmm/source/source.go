// Package source shows a directory of images: what a stat, a listing and a map of each says to a
// caller, and nothing that this caller could not find out without it. It knows paths and rights,
// and takes maps from package chain as they are.
//
// Its files, from the bottom up:
//
//	source.go   the tree, and what a path names
//	info.go     what a stat says of a file
//	link.go     symbolic links
//	stat.go     stats of files, directories and links
//	names.go    the names in a directory
//	listing.go  listings
//	map.go      maps
package source

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"instarfs/vmm/chain"
	"instarfs/vmm/files"
)

// Source is a tree of images, which are mapped in the same way but for their formats. Paths are
// slash separated and relative to the tree. Everything is done with the rights of a Caller; nil is
// the user who mounted. It is safe for concurrent use.
type Source struct {
	tree    *files.Tree
	engine  *chain.Engine
	host    *files.Host
	options Options
}

// Options say how the images of a Source are mapped, and to whom.
type Options struct {
	chain.Options
	Shared   bool // it is listed to others than the user who mounted
	OwnTimes bool // an image has its own times, whatever lies under it
	Devices  bool // block devices are images too
	// FormatOf returns the name of the format of an image, by its path in the tree, or empty where
	// its content decides. It may be nil.
	FormatOf func(path string) string
}

// New returns the images of a tree, which e maps.
func New(t *files.Tree, e *chain.Engine, o Options) *Source {
	return &Source{tree: t, engine: e, host: e.Host(), options: o}
}

// mapping returns the options by which an image is mapped.
func (s *Source) mapping(p string) chain.Options {
	o := s.options.Options
	if s.options.FormatOf != nil {
		o.Format = s.options.FormatOf(p)
	}
	return o
}

func (s *Source) place(p string) files.Place { return files.Place{Tree: s.tree, Path: p} }

// admit reports whether f can be an image, and lets it be opened as one.
func (s *Source) admit(f *files.File) bool {
	f.Device = s.options.Devices && f.Stat.Mode&unix.S_IFMT == unix.S_IFBLK
	return f.Device || f.Stat.Mode&unix.S_IFMT == unix.S_IFREG
}

// shownType returns the type bits that a file of a mode is shown with: a device is a file.
func shownType(mode uint32) uint32 {
	if mode &= unix.S_IFMT; mode != unix.S_IFBLK {
		return mode
	}
	return unix.S_IFREG
}

func (s *Source) label(p string) string { return s.tree.Label(p) }

// find finds what a path names, on behalf of who. What lies outside the tree does not exist. The
// last link is not followed.
func (s *Source) find(ctx context.Context, who *files.Caller, p string) (*files.File, error) {
	f, err := s.host.Find(ctx, who.User(), s.place(p), nil, false)
	if errors.Is(err, files.ErrOutside) {
		err = unix.ENOENT
	}
	if err != nil {
		return nil, err
	}
	if err := s.host.CheckUnknown(ctx, who, s.place(p), 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Public reports whether all users may search a directory: then what is known of its files need not
// be hidden from any.
func (s *Source) Public(ctx context.Context, dir string) bool {
	open, err := s.host.SearchableByAll(ctx, s.place(dir))
	return err == nil && open
}

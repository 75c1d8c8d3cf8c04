// Package payload carries the built map guest inside the host program. The file is made by `make
// guest` and never committed; without it the package still builds, so that a fresh clone vets.
package payload

import (
	"embed"
	"errors"
	"io"
)

//go:embed all:bin
var bin embed.FS

// ErrNotBuilt says that the host was built before the guest.
var ErrNotBuilt = errors.New("the map guest is not built into this binary: run make")

// Agent is the guest program, a static x86-64 ELF executable. It is read from where it lies: a copy
// would be 450 pages more for a short-lived program to touch.
func Agent() (*io.SectionReader, error) {
	f, err := bin.Open("bin/agent")
	if err != nil {
		return nil, ErrNotBuilt
	}
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, ErrNotBuilt
	}
	return io.NewSectionReader(f.(io.ReaderAt), 0, info.Size()), nil
}

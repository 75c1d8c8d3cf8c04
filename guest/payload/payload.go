// Package payload carries the built map guest inside the host program. The file is made by `make
// guest` and never committed; without it the package still builds, so that a fresh clone vets.
package payload

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
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

// digest is the SHA-256 of the guest program in hexadecimal, where the linker knows it: the
// Makefile saves each process a millisecond.
var digest string

// Digest is the SHA-256 of the guest program.
func Digest() (sum [sha256.Size]byte, err error) {
	if b, err := hex.DecodeString(digest); err == nil && len(b) == len(sum) {
		return [sha256.Size]byte(b), nil
	}
	program, err := Agent()
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, program); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// Package payload carries the built map guest inside the host program. The file is made by `make guest` and never
// committed; without it the package still builds, so that a fresh clone vets.
package payload

import (
	"embed"
	"errors"
)

//go:embed all:bin
var bin embed.FS

// ErrNotBuilt says that the host was built before the guest.
var ErrNotBuilt = errors.New("the map guest is not built into this binary: run make")

// Agent is the guest program, a static x86-64 ELF executable.
func Agent() ([]byte, error) {
	b, err := bin.ReadFile("bin/agent")
	if err != nil || len(b) == 0 {
		return nil, ErrNotBuilt
	}
	return b, nil
}

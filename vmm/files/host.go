// Package files finds and opens files that the process shares with others: a path below a
// directory, followed without leaving it (walk.go), with the rights of a user and without waiting
// for ever (package gate). It knows no map, no layer, no guest and no cache.
package files

import (
	"time"

	"instarfs/vmm/gate"
)

// Host is the files of this computer. It is safe for concurrent use.
type Host struct {
	Gate *gate.Gate
}

// NewHost returns a Host whose calls may take callTime each.
func NewHost(callTime time.Duration) *Host { return &Host{Gate: gate.New(callTime)} }

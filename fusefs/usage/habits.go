// Package usage watches how programs use a directory of the mount, so that it is served well:
// whether they go on to stat what they listed, and whether they are still there. The types are safe
// for concurrent use, and their zero values are directories that nobody used yet.
package usage

import (
	"sync"
	"time"
)

// statStorm is how many lookups of single names after a listing show that all names are being
// looked up.
const statStorm = 8

// Habits reports whether those who list a directory go on to stat what they found. Both kinds must
// be served well. ls is served by the listing that the kernel keeps; ls -l by a READDIRPLUS, which
// sends the attributes of everything at once. With the kept listing, ls -l would look up every
// single name when the attributes have expired, twenty times as slow. The server sees no stat that
// the kernel answers by itself, so one name of each listing, the canary, has an entry timeout of 0:
// a program that stats all names asks for it.
type Habits struct {
	mu      sync.Mutex
	listing time.Time // when the kernel began to read the directory
	canary  string
	lookups int  // of single names since the directory was opened last
	stats   bool // the last who listed the directory went on to stat
}

// Keep is called when the directory is opened, and reports whether the kernel should use the
// listing that it kept. The kernel believes attributes for the given time.
func (h *Habits) Keep(believed time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := time.Since(h.listing) < believed/2
	stats := h.stats
	h.lookups = 0
	if !fresh {
		h.stats, h.canary = false, ""
	}
	return fresh || !stats
}

// Listed notes that READDIRPLUS sends the attributes of a view, and reports whether that is the
// canary.
func (h *Habits) Listed(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.canary == "" {
		h.canary, h.listing = name, time.Now()
	}
	return h.canary == name
}

// LookedUp notes that the kernel looked up a single name.
func (h *Habits) LookedUp(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lookups++
	if name == h.canary || h.lookups >= statStorm {
		h.stats = true
	}
}

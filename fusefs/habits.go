package fusefs

import (
	"sync"
	"time"
)

// statStorm is how many lookups of single names after a listing tell that all names are being looked up.
const statStorm = 8

// habits tells whether those who list a directory go on to stat what they found. Both kinds must be served well: ls from
// the listing that the kernel keeps, ls -l by a READDIRPLUS, which tells the attributes of everything at once; with the
// kept listing it would look up every single name when the attributes have expired, twenty times as slow. The server sees
// no stat that the kernel answers by itself, so one name of each listing, the canary, has an entry timeout of 0: whoever
// stats all names asks for it.
type habits struct {
	mu      sync.Mutex
	listing time.Time // when the kernel began to read the directory; what it was told then has not expired for a while
	canary  string
	lookups int  // of single names since the directory was opened last
	stats   bool // the last who listed the directory went on to stat
}

// keep is called when the directory is opened, and reports whether the kernel is to use the listing that it kept.
func (h *habits) keep() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := time.Since(h.listing) < timeout/2
	stats := h.stats
	h.lookups = 0
	if !fresh {
		h.stats, h.canary = false, ""
	}
	return fresh || !stats
}

// listed notes that READDIRPLUS tells the attributes of a view, and reports whether that is the canary.
func (h *habits) listed(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.canary == "" {
		h.canary, h.listing = name, time.Now()
	}
	return h.canary == name
}

// lookedUp notes that the kernel looked up a single name.
func (h *habits) lookedUp(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lookups++
	if name == h.canary || h.lookups >= statStorm {
		h.stats = true
	}
}

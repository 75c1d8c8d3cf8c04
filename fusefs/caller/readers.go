package caller

import (
	"fmt"
	"sync"
)

// maxReaders is how many callers one Readers remembers. If there are more, it starts afresh.
const maxReaders = 64

// Readers are the callers who may have a content, as was found out when they asked before. A stat
// of an open file goes by it, because the image may be another by then. Nil callers are always
// among them. It is safe for concurrent use; the zero value is ready.
type Readers struct {
	mu    sync.Mutex
	known map[string]bool
}

func readerKey(c *Caller) string { return fmt.Sprint(*c) }

// Has reports whether c is one of them.
func (r *Readers) Has(c *Caller) bool {
	if c == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[readerKey(c)]
}

// Add makes c one of them.
func (r *Readers) Add(c *Caller) {
	if c == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxReaders {
		r.known = nil
	}
	if r.known == nil {
		r.known = map[string]bool{}
	}
	r.known[readerKey(c)] = true
}

// Clear forgets them all: the content is another.
func (r *Readers) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = nil
}

package fusefs

import (
	"fmt"
	"sync"
)

// maxReaders bounds what is remembered of one inode.
const maxReaders = 64

// readers are the callers who may have the content of an inode, as was found out when they asked
// before. It is what a stat of an open file goes by, whose image may be another by then; an open
// asks again.
type readers struct {
	mu    sync.Mutex
	known map[string]bool
}

func readerKey(c *Caller) string { return fmt.Sprint(*c) }

func (r *readers) has(c *Caller) bool {
	if c == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[readerKey(c)]
}

func (r *readers) add(c *Caller) {
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

// clear forgets them: the inode has another content.
func (r *readers) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = nil
}

// Package cache keeps results that are costly to make, within a budget of bytes, and makes each one
// once for all that ask for it at the same time. It knows nothing of what it keeps. A Cache is safe
// for use by many goroutines.
//
// Errors are never kept: whoever asks after a failed run starts a new one. What failed for good can
// be kept as a value.
package cache

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Cache keeps values by key until newer ones need their room, those used least recently first.
type Cache[K comparable, V any] struct {
	mu     sync.Mutex // guards all below; never held while a loader runs
	lru    *simplelru.LRU[K, entry[V]]
	limit  int64
	used   int64 // the costs of all entries of lru
	flight map[K]*flight[V]
	counts Counts
}

// Counts are what became of requests since the cache was made.
type Counts struct {
	Hits      int64 // values that were kept, or on their way
	Misses    int64 // runs of a loader
	Evictions int64 // values that newer ones, or others who need memory, pushed out
}

type entry[V any] struct {
	value V
	cost  int64
}

// New makes a cache of at most limit bytes, counted in the costs that loaders tell. With a limit of
// 0 nothing is kept, but runs are still shared.
func New[K comparable, V any](limit int64) *Cache[K, V] {
	c := &Cache[K, V]{limit: limit, flight: map[K]*flight[V]{}}
	// The size of simplelru counts entries, of which any number is welcome: the cost decides.
	const entries = int(^uint(0) >> 1)
	lru, err := simplelru.NewLRU(entries, func(_ K, e entry[V]) { c.used -= e.cost })
	if err != nil {
		panic("cache: simplelru refuses a positive size: " + err.Error())
	}
	c.lru = lru
	return c
}

// Get returns the value of key and counts as a use of it.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.lru.Get(key)
	if ok {
		c.counts.Hits++
	}
	return e.value, ok
}

// Peek returns the value of key and leaves the order of use as it is.
func (c *Cache[K, V]) Peek(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.lru.Peek(key)
	return e.value, ok
}

// Drop forgets the value of key.
func (c *Cache[K, V]) Drop(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(key)
}

// Evict forgets what was used least recently until that many bytes are free which were used before,
// or nothing is left.
func (c *Cache[K, V]) Evict(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for until := c.used - bytes; c.used > until && c.lru.Len() > 0; {
		c.removeOldest()
	}
}

// removeOldest pushes a value out. Precondition: c.mu is held.
func (c *Cache[K, V]) removeOldest() {
	c.lru.RemoveOldest()
	c.counts.Evictions++
}

// Counts returns what became of requests so far.
func (c *Cache[K, V]) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

// Bytes is the cost of all that is kept.
func (c *Cache[K, V]) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// Len is the number of values kept.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Len()
}

// keep stores a value unless it is larger than the budget. Precondition: c.mu is held.
func (c *Cache[K, V]) keep(key K, value V, cost int64) {
	if cost < 0 || cost > c.limit {
		return
	}
	c.lru.Remove(key) // so that its cost is given back
	for c.used+cost > c.limit {
		c.removeOldest()
	}
	c.lru.Add(key, entry[V]{value, cost})
	c.used += cost
}

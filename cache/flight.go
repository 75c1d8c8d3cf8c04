package cache

import (
	"context"
	"errors"
	"time"

	"instarfs/vmm/bug"
)

// linger is how long a run goes on when nobody waits for it any more: a reader that was interrupted
// often asks again at once, and finds the run further on.
const linger = 2 * time.Second

// Loader makes the value of a key and tells its cost in bytes. Its context ends a moment after the
// last waiter has left.
type Loader[V any] func(ctx context.Context) (value V, cost int, err error)

var errExited = errors.New("cache: loader left without a result")

// flight is one run of a loader and those who wait for it. The fields waiters and idle are guarded
// by Cache.mu; value and err are written before done is closed and only read after.
type flight[V any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int
	idle    *time.Timer // cancels the run; set while nobody waits
	value   V
	err     error
}

// Load returns the value that is kept for key, or what the run for key that is under way will
// return, or starts that run. When ctx ends before the run does, Load returns the cause of that;
// the run goes on for others who wait.
//
// The run has a context of its own with the values of the ctx that started it but not its end. A
// key whose run is cancelled has a new one as soon as someone asks: the cancelled run cannot be
// joined, and what it still returns is dropped.
func (c *Cache[K, V]) Load(ctx context.Context, key K, load Loader[V]) (V, error) {
	var none V
	if err := ctx.Err(); err != nil {
		return none, context.Cause(ctx)
	}
	c.mu.Lock()
	// Looking up the value and the flight under one lock leaves no moment in which a run has landed
	// in neither.
	if e, ok := c.lru.Get(key); ok {
		c.counts.Hits++
		c.mu.Unlock()
		return e.value, nil
	}
	f := c.flight[key]
	if f == nil {
		c.counts.Misses++
		f = c.start(ctx, key, load)
	} else {
		c.counts.Hits++
	}
	f.waiters++
	if f.idle != nil {
		f.idle.Stop()
		f.idle = nil
	}
	c.mu.Unlock()

	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		c.leave(key, f)
		return none, context.Cause(ctx)
	}
}

// start begins a run. Precondition: c.mu is held.
func (c *Cache[K, V]) start(ctx context.Context, key K, load Loader[V]) *flight[V] {
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight[V]{done: make(chan struct{}), cancel: cancel}
	c.flight[key] = f
	go func() {
		defer cancel()
		var cost int
		f.err = errExited // stands when load ends its goroutine instead of returning
		defer func() { c.land(key, f, int64(cost)) }()
		f.value, cost, f.err = guarded(runCtx, load)
	}()
	return f
}

// guarded runs load. A panic is the error of all who wait for it.
func guarded[V any](ctx context.Context, load Loader[V]) (value V, cost int, err error) {
	err = bug.Guard(func() (err error) {
		value, cost, err = load(ctx)
		return err
	})
	return value, cost, err
}

// land ends a run.
func (c *Cache[K, V]) land(key K, f *flight[V], cost int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.idle != nil {
		f.idle.Stop()
	}
	// A flight that was cancelled is out of the table already, and another may be there for the
	// same key.
	if c.flight[key] == f {
		delete(c.flight, key)
		if f.err == nil {
			c.keep(key, f.value, cost)
		}
	}
	close(f.done)
}

// leave ends the wait of one that does not want the value any more.
func (c *Cache[K, V]) leave(key K, f *flight[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters--
	if f.waiters > 0 || c.flight[key] != f {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(linger, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		// A waiter that came back has stopped this timer, perhaps too late to keep this function
		// from running.
		if f.idle == timer && c.flight[key] == f {
			delete(c.flight, key)
			f.cancel()
		}
	})
	f.idle = timer
}

package fusefs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"instarfs/guest/extent"
)

// linger is how long a run goes on after the last one who waited for it left: whoever was interrupted often comes back.
const linger = time.Second

// runs shares one Source.Map between all requests that wait for the map of a path, and separates its life from theirs.
type runs struct {
	source Source
	log    *logger
	ctx    context.Context // of the mount

	mu     sync.Mutex
	active map[string]*run
}

type run struct {
	done   chan struct{} // closed when what follows is set
	m      *extent.Map
	gen    Generation
	err    error
	cancel context.CancelFunc

	waiters int         // guarded by runs.mu
	leaving *time.Timer // guarded by runs.mu; set while nobody waits
}

// errInterrupted is what wait returns to a request whose caller is about to die.
var errInterrupted = fmt.Errorf("interrupted: %w", syscall.EINTR)

// wait returns what Source.Map answered to a call that was under way at some time during the wait.
func (r *runs) wait(ctx context.Context, image string) (*extent.Map, Generation, error) {
	one := r.join(image)
	defer r.leave(image, one)
	if !await(ctx, one.done) {
		return nil, Generation{}, errInterrupted
	}
	return one.m, one.gen, one.err
}

func (r *runs) join(image string) *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.active[image]
	if one == nil {
		ctx, cancel := context.WithCancel(r.ctx)
		one = &run{done: make(chan struct{}), cancel: cancel}
		r.active[image] = one
		go r.carryOut(ctx, image, one)
	}
	one.waiters++
	if one.leaving != nil {
		one.leaving.Stop()
		one.leaving = nil
	}
	return one
}

func (r *runs) leave(image string, one *run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one.waiters--
	if one.waiters == 0 && r.active[image] == one {
		one.leaving = time.AfterFunc(linger, func() { r.abandon(image, one) })
	}
}

// abandon cancels a run that nobody waits for. Nobody may join it from then on: he would be told that it was cancelled.
func (r *runs) abandon(image string, one *run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one.waiters == 0 {
		one.cancel()
		r.remove(image, one)
	}
}

// remove makes the next caller start a run of its own. Precondition: r.mu is held.
func (r *runs) remove(image string, one *run) {
	if r.active[image] == one {
		delete(r.active, image)
	}
}

func (r *runs) carryOut(ctx context.Context, image string, one *run) {
	defer func() {
		if p := recover(); p != nil {
			r.log.panicked("mapping "+image, p)
			one.err = fmt.Errorf("map %s: internal error, see the log of the mount", image)
		}
		one.cancel()
		r.mu.Lock()
		r.remove(image, one)
		r.mu.Unlock()
		close(one.done)
	}()
	one.m, one.gen, one.err = r.source.Map(ctx, image)
	if one.err != nil && !errors.Is(one.err, context.Canceled) {
		r.log.once(image, one.gen, one.err.Error())
	}
}

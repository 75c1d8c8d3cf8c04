// Package ahead does work before it is asked for, as long as that keeps no request waiting.
package ahead

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// Workers carry out jobs until their context ends. They are safe for concurrent use.
type Workers struct {
	ctx  context.Context
	jobs chan job
	// asked counts the requests that may have to wait for what jobs do. Where these are as many as
	// the processors nothing is done ahead.
	asked atomic.Int64
}

// job is a piece of work.
type job struct {
	name string // for panics
	do   func()
}

// New starts workers, one for each processor. A panic of a job is handed to panicked.
func New(ctx context.Context, panicked func(job string, value any)) *Workers {
	w := &Workers{ctx: ctx, jobs: make(chan job)}
	for range runtime.GOMAXPROCS(0) {
		go w.work(panicked)
	}
	return w
}

func (w *Workers) work(panicked func(string, any)) {
	for {
		select {
		case <-w.ctx.Done():
			return
		case j := <-w.jobs:
			guard(j, panicked)
		}
	}
}

func guard(j job, panicked func(string, any)) {
	defer func() {
		if p := recover(); p != nil {
			panicked(j.name, p)
		}
	}()
	j.do()
}

// crowdPoll is how often the requests are counted where there are too many to work ahead of them.
const crowdPoll = 10 * time.Millisecond

// Hand gives a job to a worker when there is one that does not keep requests waiting. It reports
// false if ctx ends first.
func (w *Workers) Hand(ctx context.Context, name string, do func()) bool {
	for w.asked.Load() >= int64(max(2, runtime.GOMAXPROCS(0))) {
		select {
		case <-time.After(crowdPoll):
		case <-ctx.Done():
			return false
		}
	}
	select {
	case w.jobs <- job{name, do}:
		return true
	case <-ctx.Done():
		return false
	}
}

// Ask notes a request; done must be called when it is answered.
func (w *Workers) Ask() (done func()) {
	w.asked.Add(1)
	return func() { w.asked.Add(-1) }
}

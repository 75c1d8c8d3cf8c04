package fusefs

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// sweep is how soon the second cold open in a directory must follow the first to be taken for one
// of many.
const sweep = 2 * time.Second

// aheadPause is how long a directory is left alone after its images were mapped ahead: what is cold
// then was evicted, or replaced, and comes one by one.
const aheadPause = time.Second

// ahead maps the images of a directory before they are asked for. ls -l stats one file after the
// other, so that a single guest would work at a time.
type ahead struct {
	tree *tree
	ctx  context.Context // of the mount
	jobs chan job
	// asked counts the requests that may wait for a map. Where these are as many as the processors
	// nothing is done ahead.
	asked atomic.Int64
}

// job is one image to be mapped.
type job struct {
	ctx  context.Context // ends when nobody is interested in the directory any more
	dir  *dir
	who  *Caller // whose request it is ahead of
	name string
	done func() // to be called at its end
}

func newAhead(ctx context.Context, t *tree) *ahead {
	a := &ahead{tree: t, ctx: ctx, jobs: make(chan job)}
	for range runtime.GOMAXPROCS(0) {
		go a.work()
	}
	return a
}

// work carries out jobs until the mount ends.
func (a *ahead) work() {
	for {
		select {
		case <-a.ctx.Done():
			return
		case j := <-a.jobs:
			j.dir.learn(j.ctx, j.who, j.name)
			j.done()
		}
	}
}

// crowdPoll is how often the requests are counted where there are too many to work ahead of them.
const crowdPoll = 10 * time.Millisecond

// hand gives a job to a worker when there is one that does not keep requests waiting. It reports
// false if ctx ends first.
func (a *ahead) hand(ctx context.Context, j job) bool {
	for a.asked.Load() >= int64(max(2, runtime.GOMAXPROCS(0))) {
		select {
		case <-time.After(crowdPoll):
		case <-ctx.Done():
			return false
		}
	}
	select {
	case a.jobs <- j:
		return true
	case <-ctx.Done():
		return false
	}
}

// asks notes a request for a map in d; done must be called when it is answered.
func (d *dir) asks() (done func()) {
	d.tree.ahead.asked.Add(1)
	answered := d.visits.Begin()
	return func() {
		answered()
		d.tree.ahead.asked.Add(-1)
	}
}

// openedCold notes that an image of d was opened whose map was not at hand. Who opens one file
// after the other, and stats none before, is served ahead from the second on; a single open costs a
// single run.
func (d *dir) openedCold(who *Caller, path string) {
	d.mu.Lock()
	again := time.Since(d.coldAt) < sweep
	d.coldAt = time.Now()
	d.mu.Unlock()
	if again {
		d.mapAhead(who, path)
	}
}

// mapAhead starts to map the listed images of d, those that follow the one at path first. It does
// not wait.
func (d *dir) mapAhead(who *Caller, path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mapping || time.Since(d.mappedAt) < aheadPause {
		return
	}
	d.mapping = true
	go func() {
		defer func() {
			if p := recover(); p != nil {
				d.tree.log.Panicked("listing "+d.path, p)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.mapping, d.mappedAt = false, time.Now()
		}()
		d.feed(who, path)
	}()
}

// feed hands out a job for each listed image but the one at path, as long as the directory is
// visited.
func (d *dir) feed(who *Caller, path string) {
	ctx, done := d.visits.During(d.tree.ahead.ctx)
	defer done()
	var under sync.WaitGroup
	defer under.Wait()
	items, errno := d.items(ctx, who)
	if errno != 0 {
		return // whoever lists the directory is told
	}
	items = slices.DeleteFunc(items,
		func(i item) bool { return i.view != listed[0] || i.mode != syscall.S_IFREG })
	first := slices.IndexFunc(items, func(i item) bool { return i.path == path }) + 1
	for _, i := range slices.Concat(items[first:], items[:max(first-1, 0)]) {
		image, _, _ := splitName(i.name)
		under.Add(1)
		if !d.tree.ahead.hand(ctx, job{ctx, d, who, image, under.Done}) {
			under.Done()
			return
		}
	}
}

// learn maps an image of d and tells the size to those of its nodes that the kernel knows. Failures
// are logged where they happen.
func (d *dir) learn(ctx context.Context, who *Caller, name string) {
	path := join(d.path, name)
	defer func() {
		if p := recover(); p != nil {
			d.tree.log.Panicked("mapping ahead "+path, p)
		}
	}()
	info, err := d.tree.source.Stat(ctx, who, path)
	if err != nil || !info.Regular() {
		return
	}
	var cold []*mapFile
	looked := false
	for _, v := range listed {
		if node := d.GetChild(name + v.String()); node != nil {
			looked = true
			if f, ok := node.Operations().(*mapFile); ok && f.unbound(info.Generation) {
				cold = append(cold, f)
			}
		}
	}
	if looked && len(cold) == 0 {
		return
	}
	m, g, err := d.tree.mapOf(ctx, who, path, info.Generation)
	if err != nil {
		return
	}
	for _, f := range cold {
		if g == info.Generation {
			if r, err := d.tree.render(path, f.view, m, g); err == nil {
				f.bind(g, r.Size())
			}
		}
	}
}

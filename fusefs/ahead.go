package fusefs

import (
	"context"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"instarfs/fusefs/view"
)

// sweep is how soon the second cold open in a directory must follow the first to be taken for one
// of many.
const sweep = 2 * time.Second

// aheadPause is how long a directory is left alone after its images were mapped ahead: what is cold
// then was evicted, or replaced, and comes one by one.
const aheadPause = time.Second

// asks notes a request for a map in d; done must be called when it is answered.
func (d *dir) asks() (done func()) {
	noted := d.tree.ahead.Ask()
	answered := d.visits.Begin()
	return func() {
		answered()
		noted()
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

// feed hands out a job for each listed image but that at file, as long as the directory is
// visited.
func (d *dir) feed(who *Caller, file string) {
	ctx, done := d.visits.During(d.tree.ctx)
	defer done()
	var under sync.WaitGroup
	defer under.Wait()
	items, errno := d.items(ctx, who)
	if errno != 0 {
		return // whoever lists the directory is told
	}
	items = slices.DeleteFunc(items,
		func(i item) bool { return i.view != view.Listed[0] || i.mode != syscall.S_IFREG })
	first := slices.IndexFunc(items, func(i item) bool { return i.path == file }) + 1
	for _, i := range slices.Concat(items[first:], items[:max(first-1, 0)]) {
		image, _, _ := view.Split(i.name)
		under.Add(1)
		handed := d.tree.ahead.Hand(ctx, path.Join(d.path, image), func() {
			defer under.Done()
			d.learn(ctx, who, image)
		})
		if !handed {
			under.Done()
			return
		}
	}
}

// learn maps an image of d and tells the size to those of its nodes that the kernel knows. Failures
// are logged where they happen.
func (d *dir) learn(ctx context.Context, who *Caller, name string) {
	file := path.Join(d.path, name)
	info, err := d.tree.source.Stat(ctx, who, file)
	if err != nil || !info.Regular() {
		return
	}
	var cold []*mapFile
	looked := false
	for _, v := range view.Listed {
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
	m, g, err := d.tree.mapOf(ctx, who, file, info.Generation)
	if err != nil {
		return
	}
	for _, f := range cold {
		if g == info.Generation {
			if r, err := d.tree.render(file, f.view, m, g); err == nil {
				f.bind(g, r.Size())
			}
		}
	}
}

package main

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	perKind = 4 // subjects of each kind
	nets    = 8 // images on the file system that hangs now and then
)

// world is the source, the mounts, and what happens to them.
type world struct {
	source, point string
	binary        string
	tally         *tally
	contents      [variants][]byte
	slow          []byte

	kinds map[string][]*subject
	all   []*subject
	net   []*subject // on a file system that hangs now and then
	below *mount     // which is served by this
	mount *mount
}

// newWorld writes the images, and learns their maps.
func newWorld(binary, dir string, r *rand.Rand) (w *world, err error) {
	w = &world{
		source: filepath.Join(dir, "source"), point: filepath.Join(dir, "mount"), binary: binary,
		tally: newTally(), kinds: map[string][]*subject{},
	}
	for _, d := range []string{
		"mount", "below", "source/net", "source/come", "source/closing", "source/rough",
		"source/damaged", "source/slow",
	} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	for i := range variants {
		if w.contents[i], err = fileBytes(variant(i)); err != nil {
			return nil, err
		}
	}
	if len(w.contents[0]) != len(w.contents[1]) {
		return nil, fmt.Errorf("variants of %d and %d bytes", len(w.contents[0]),
			len(w.contents[1]))
	}
	if w.slow, err = fileBytes(slow()); err != nil {
		return nil, err
	}
	if err := w.addSubjects(); err != nil {
		return nil, err
	}
	for i := range perKind {
		for name, b := range map[string][]byte{
			w.rough(i): w.contents[0], w.damaged(i): damaged(r, w.contents[0]), w.slowly(i): w.slow,
		} {
			if err := replace(filepath.Join(w.source, name), b, 0o644); err != nil {
				return nil, err
			}
		}
	}
	// Links of the rough kind point here, so that writers change this through them.
	if err := replace(w.path("rough/target.qcow2"), w.contents[0], 0o644); err != nil {
		return nil, err
	}
	return w, w.addNet(filepath.Join(dir, "below"))
}

// Names of images whose maps are not known.
func (w *world) rough(i int) string   { return fmt.Sprintf("rough/%d.qcow2", i%perKind) }
func (w *world) damaged(i int) string { return fmt.Sprintf("damaged/%d.qcow2", i%perKind) }
func (w *world) slowly(i int) string  { return fmt.Sprintf("slow/%d.qcow2", i%perKind) }

// end unmounts all that is mounted.
func (w *world) end() {
	for _, m := range []*mount{w.mount, w.below} {
		if m != nil {
			m.end()
		}
	}
}

// freshGoroutines counts the goroutines of a mount that made one map.
func (w *world) freshGoroutines() (int, error) {
	m, err := mountAt(w.binary, w.source, w.point)
	if err != nil {
		return 0, err
	}
	defer m.end()
	if _, err := os.ReadFile(filepath.Join(w.point, w.all[0].name+views[0])); err != nil {
		return 0, err
	}
	log, err := m.quit()
	return len(goroutine.FindAllString(log, -1)), err
}

// work runs readers and writers for a while. It returns the first error of one that could not
// work.
func (w *world) work(d time.Duration, seed int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var working sync.WaitGroup
	failed := make(chan error, 100)
	begin := func(f func(ctx context.Context, r *rand.Rand) error) {
		seed++
		r := rand.New(rand.NewSource(seed))
		working.Go(func() {
			for ctx.Err() == nil {
				if err := f(ctx, r); err != nil {
					failed <- err
					cancel()
					return
				}
			}
		})
	}
	for _, f := range w.writers() {
		begin(f)
	}
	for _, f := range w.readers() {
		begin(f)
	}
	for range 2 {
		o, err := w.startOther()
		if err != nil {
			return err
		}
		defer o.end()
		begin(o.readAny)
	}
	working.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

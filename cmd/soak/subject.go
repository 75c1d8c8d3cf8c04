package main

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// subject is an image whose maps are known, whatever happens to it.
type subject struct {
	kind string
	name string // path in the source
	base string // path in the source of the file that is replaced; usually name
	maps [variants]map[string][]byte
	busy bool // it may be refused as busy while it changes

	now    atomic.Pointer[moment]
	change sync.Mutex // held while the subject changes
}

// moment is the state of a subject from one change to the next. Equal pointers are the same
// moment.
type moment struct {
	variant  int
	closed   bool // only root may read it
	changing bool // it is changing, or about to
	since    time.Time
}

// variants is how many contents a subject has.
const variants = 2

// views are the suffixes of the maps of an image.
var views = []string{".map.json", ".map.txt"}

// reason is the suffix of the file that says why an image has no map.
const reason = ".map.err"

// become changes a subject with a function, after which its state is next.
func (s *subject) become(next moment, change func() error) error {
	s.change.Lock()
	defer s.change.Unlock()
	during := *s.now.Load()
	during.changing = true
	s.now.Store(&during)
	if err := change(); err != nil {
		return err
	}
	next.since = time.Now()
	s.now.Store(&next)
	return nil
}

// stable returns the moment that lasted from one load to the next, or nil.
func stable(before, after *moment) *moment {
	if before != after || before.changing {
		return nil
	}
	return before
}

// matches reports whether b may be the answer to a read that began and ended at such moments.
func (s *subject) matches(view string, b []byte, before, after *moment) bool {
	if m := stable(before, after); m != nil {
		return string(b) == string(s.maps[m.variant][view])
	}
	for i := range variants {
		if string(b) == string(s.maps[i][view]) {
			return true
		}
	}
	return false
}

// replace replaces a file by another, atomically.
func replace(name string, b []byte, mode os.FileMode) error {
	next := filepath.Join(filepath.Dir(name), ".next-"+filepath.Base(name))
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(next, mode); err != nil {
		return err
	}
	return os.Rename(next, name)
}

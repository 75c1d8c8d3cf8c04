package inode

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestNumber: every part of what a number stands for makes another, and none is reserved.
func TestNumber(t *testing.T) {
	seen := map[uint64]bool{1: true, 0: true, ^uint64(0): true}
	for _, file := range []string{"a", "b", "a/b"} {
		for _, g := range [][2]uint64{{}, {1}, {0, 1}} {
			for view := range byte(3) {
				for seq := range uint64(2) {
					n := Number(file, view, g, seq)
					if seen[n] || n != Number(file, view, g, seq) {
						t.Errorf("%s, %d, %d, %d: %d", file, view, g, seq, n)
					}
					seen[n] = true
				}
			}
		}
	}
}

// TestShown: the content changes only while no handle is open, and the old pages go before a read.
func TestShown(t *testing.T) {
	var s Shown
	one, two := strings.NewReader("one"), strings.NewReader("two")
	changed := func(is bool) func() bool { return func() bool { return is } }
	dropped := 0
	drop := func() { dropped++ }
	if s.Join() != nil || s.Open() {
		t.Error("an inode without handles shows something")
	}
	if s.Begin(one, changed(false)) != one || s.Join() != one || !s.Open() {
		t.Error("the first content is not shown")
	}
	if s.Begin(two, func() bool { t.Error("bound while open"); return true }) != one {
		t.Error("the content changes while handles are open")
	}
	s.Clean(drop)
	for range 3 {
		s.Leave()
	}
	if s.Join() != nil || s.Open() || dropped != 0 {
		t.Errorf("after the last close: dropped %d times", dropped)
	}
	if s.Begin(two, changed(true)) != two {
		t.Error("the content does not change after the last close")
	}
	s.Leave() // without a look at the pages
	if s.Begin(two, changed(false)) != two {
		t.Error("the content changes back")
	}
	s.Clean(drop)
	s.Clean(drop)
	if dropped != 1 {
		t.Errorf("dropped %d times", dropped)
	}
}

// TestStale: one ESTALE is remembered, for a while, for its thread and its file.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Stale
		key := StaleKey{7, "a", 1}
		if s.Take(key) || s.Note(StaleKey{0, "a", 1}) || !s.Note(key) {
			t.Error("a first answer")
		}
		for _, other := range []StaleKey{{8, "a", 1}, {7, "b", 1}, {7, "a", 2}} {
			if s.Take(other) {
				t.Errorf("%+v is taken for %+v", other, key)
			}
		}
		if !s.Take(key) || s.Take(key) {
			t.Error("an answer is not remembered once")
		}
		s.Note(key)
		time.Sleep(staleMemory)
		if s.Take(key) {
			t.Error("an old answer is remembered")
		}
		for i := range uint32(2 * stalePrune) {
			s.Note(StaleKey{i + 1, "a", 1})
		}
		time.Sleep(staleMemory)
		s.Note(key)
		if len(s.answered) != 1 {
			t.Errorf("%d answers are remembered", len(s.answered))
		}
	})
}

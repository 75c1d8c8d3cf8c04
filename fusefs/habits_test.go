package fusefs

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// list is what a READDIRPLUS of some names does.
func (h *habits) list(names ...string) (canaries int) {
	for _, name := range names {
		if h.listed(name) {
			canaries++
		}
	}
	return canaries
}

// expire makes the attributes of the last listing as old as if a while had passed.
func (h *habits) expire() { h.listing = h.listing.Add(-timeout) }

func TestHabits(t *testing.T) { synctest.Test(t, testHabits) }

// testHabits needs time to stand still, or else attributes expire by themselves.
func testHabits(t *testing.T) {
	var h habits
	expect := func(when string, keep bool) {
		t.Helper()
		if h.keep() != keep {
			t.Errorf("%s: keep is %v", when, !keep)
		}
	}
	expect("at first", true)
	if n := h.list("a", "b"); n != 1 {
		t.Errorf("%d canaries", n)
	}
	h.expire()
	expect("nobody stats", true)
	h.list("a", "b")
	h.lookedUp("a")
	expect("stats, but what the kernel knows is fresh", true)
	h.expire()
	expect("stats", false)
	h.list("a", "b")
	h.lookedUp("b")
	h.expire()
	expect("one file was opened", true)
	for range statStorm {
		h.lookedUp("b")
	}
	expect("all names are being looked up", false)
}

// Commands that list and stat again and again see the same, whichever way they are served.
func TestRepeatedListing(t *testing.T) {
	src := newFakeSource(t, 0)
	for n := range 50 {
		src.put(t, fmt.Sprintf("%02d.img", n), "s", int64(n))
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(src.root, old, old); err != nil {
		t.Fatal(err)
	}
	m := mountFake(t, src, nil)
	for _, script := range []string{"ls", "ls -l", "find . -size +0"} {
		want := command(t, "sh", "-c", "cd $0 && "+script, m.dir)
		for range 4 {
			time.Sleep(timeout / 4)
			if got := command(t, "sh", "-c", "cd $0 && "+script, m.dir); got != want {
				t.Errorf("%s: %q, then %q", script, want, got)
			}
		}
	}
}

package usage

import (
	"testing"
	"testing/synctest"
	"time"
)

// believed is how long the kernel of these tests believes attributes.
const believed = time.Second

// list is what a READDIRPLUS of some names does.
func (h *Habits) list(names ...string) (canaries int) {
	for _, name := range names {
		if h.Listed(name) {
			canaries++
		}
	}
	return canaries
}

// expire makes the attributes of the last listing as old as if a while had passed.
func (h *Habits) expire() { h.listing = h.listing.Add(-believed) }

func TestHabits(t *testing.T) { synctest.Test(t, testHabits) }

// testHabits needs time to stand still, or else attributes expire by themselves.
func testHabits(t *testing.T) {
	var h Habits
	expect := func(when string, keep bool) {
		t.Helper()
		if h.Keep(believed) != keep {
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
	h.LookedUp("a")
	expect("stats, but what the kernel knows is fresh", true)
	h.expire()
	expect("stats", false)
	h.list("a", "b")
	h.LookedUp("b")
	h.expire()
	expect("one file was opened", true)
	for range statStorm {
		h.LookedUp("b")
	}
	expect("all names are being looked up", false)
}

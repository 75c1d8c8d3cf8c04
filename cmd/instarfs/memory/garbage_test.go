package memory

import (
	"math"
	"runtime"
	"testing"
)

func TestPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 100, 1: 100, garbage: 100, 2 * garbage: 50, 4 * garbage: 25, 100 * garbage: 5,
		math.MaxUint64: 5,
	} {
		if got := percent(live); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d", live, got, want)
		}
	}
}

// TestAfterCollection: each collection is noticed.
func TestAfterCollection(t *testing.T) {
	noticed := make(chan struct{})
	done := make(chan struct{})
	defer close(done)
	afterCollection(func() {
		select {
		case noticed <- struct{}{}:
		case <-done:
		}
	})
	for range 3 {
		runtime.GC()
		<-noticed
	}
	if live() == 0 {
		t.Error("nothing is in use")
	}
}

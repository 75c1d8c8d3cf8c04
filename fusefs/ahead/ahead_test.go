package ahead

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// While as many requests wait as there are processors nothing is done ahead of them.
func TestNothingAheadOfACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Workers{jobs: make(chan job, 1)}
		var done func()
		for range max(2, runtime.GOMAXPROCS(0)) {
			done = w.Ask()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*crowdPoll)
		defer cancel()
		if w.Hand(ctx, "job", func() {}) || len(w.jobs) != 0 {
			t.Error("a job was begun")
		}
		time.AfterFunc(2*crowdPoll, done)
		if !w.Hand(t.Context(), "job", func() {}) || len(w.jobs) != 1 {
			t.Error("no job was begun when the crowd had gone")
		}
	})
}

// A job that panics costs its worker nothing.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		panics := make(chan any, 100)
		w := New(ctx, func(_ string, p any) { panics <- p })
		for range 100 {
			if !w.Hand(t.Context(), "job", func() { panic("job") }) {
				t.Fatal("no worker is left")
			}
		}
		synctest.Wait()
		if len(panics) != 100 {
			t.Errorf("%d panics were told", len(panics))
		}
		cancel()
		synctest.Wait()
		if w.Hand(ctx, "job", func() {}) {
			t.Error("a job was begun after the end")
		}
	})
}

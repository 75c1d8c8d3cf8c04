package turns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// worker uses a processor for a while, a slice at a time, and notes when it was done.
type worker struct {
	name  string
	owner uint64
	needs time.Duration
}

// simulate has workers of a desk start in order and returns when each was done, as name=time.
func simulate(t *testing.T, processors int, workers ...worker) map[string]time.Duration {
	done := map[string]time.Duration{}
	synctest.Test(t, func(t *testing.T) {
		d := New(processors)
		begin := time.Now()
		results := make(chan string, len(workers))
		times := make(chan time.Duration, len(workers))
		for _, w := range workers {
			go func() {
				ctx := With(t.Context(), w.owner)
				turn, err := d.Enter(ctx)
				for err == nil && turn.Held() < w.needs {
					time.Sleep(min(turn.Left(), w.needs-turn.Held()))
					if turn.Held() < w.needs {
						err = turn.Yield(ctx)
					}
				}
				if err != nil {
					t.Error(err)
				}
				turn.Leave()
				results <- w.name
				times <- time.Since(begin)
			}()
			synctest.Wait()
		}
		for range workers {
			name := <-results
			done[name] = <-times
		}
		for _, l := range []*lane{&d.fast, &d.slow} {
			if l.taken != 0 || l.waiting.pop() != nil {
				t.Errorf("left behind: %+v", l)
			}
		}
	})
	return done
}

func hostile(n int, owner uint64) (list []worker) {
	for i := range n {
		list = append(list, worker{fmt.Sprint("hostile", i), owner, time.Minute})
	}
	return list
}

// TestGoodAmongHostile: whatever the number of images that use all of their time, a good one that
// comes later waits for two short slices at most where it has an owner of its own: the one under
// way and one more of another owner.
func TestGoodAmongHostile(t *testing.T) {
	for _, processors := range []int{1, 2, 8} {
		for _, n := range []int{1, 3, 16, 100} {
			for _, owner := range []uint64{7, 8} {
				name := fmt.Sprintf("%d processors, %d hostile, owner %d", processors, n, owner)
				t.Run(name, func(t *testing.T) {
					good := worker{"good", owner, 10 * time.Millisecond}
					took := simulate(t, processors, append(hostile(n, 7), good)...)["good"]
					limit := good.needs + 2*fastSlice
					if owner == 7 {
						limit = good.needs + time.Duration(n+1)*fastSlice
					}
					if took > limit {
						t.Errorf("took %v, want at most %v", took, limit)
					}
				})
			}
		}
	}
}

// TestLongAmongHostile: a map that is large and honest goes on beside those that never end.
func TestLongAmongHostile(t *testing.T) {
	long := worker{"long", 8, 2 * time.Second}
	took := simulate(t, 2, append(hostile(16, 7), long)...)["long"]
	if took > 5*time.Second {
		t.Errorf("2 s of work of another owner took %v", took)
	}
	long.owner = 7
	took = simulate(t, 2, append(hostile(16, 7), long)...)["long"]
	if limit := 17 * 2 * time.Second; took > limit {
		t.Errorf("2 s of work of the same owner took %v, want at most %v", took, limit)
	}
}

// TestNothingIsWasted: long work uses every processor while there is no short work.
func TestNothingIsWasted(t *testing.T) {
	for name, took := range simulate(t, 2, hostile(2, 7)...) {
		if took > time.Minute {
			t.Errorf("%s took %v of a processor of its own", name, took)
		}
	}
}

// TestAccountIsShared: many short runs for one map are long work together.
func TestAccountIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, ctx := New(1), With(t.Context(), 1)
		var lanes strings.Builder
		for range 5 {
			turn, err := d.Enter(ctx)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(&lanes, turn.Slow(), " ")
			time.Sleep(fastTime / 3)
			turn.Leave()
		}
		if got := lanes.String(); got != "false false false false true " {
			t.Error(got)
		}
		other, err := d.Enter(t.Context())
		if err != nil || other.Slow() {
			t.Error("an account of its own begins slow", err)
		}
		other.Leave()
	})
}

// TestPause: who waits for something else holds nobody up, and that time is not counted.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(1)
		ann, err := d.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		ann.Pause()
		time.Sleep(time.Hour)
		bob, err := d.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		resumed := make(chan error, 1)
		go func() { resumed <- ann.Resume(t.Context()) }()
		synctest.Wait()
		select {
		case <-resumed:
			t.Fatal("two have the one processor")
		default:
		}
		bob.Leave()
		if err := <-resumed; err != nil || ann.Held() != time.Millisecond {
			t.Error(err, ann.Held())
		}
		ann.Leave()
		ann.Leave() // does nothing
		if d.fast.taken != 0 {
			t.Error(d.fast.taken)
		}
	})
}

// TestLostPatience: who stops waiting is not in the way, and gets the cause of the end.
func TestLostPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(1)
		ann, err := d.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cause := errors.New("lost patience")
		gone, leave := context.WithCancelCause(t.Context())
		result := make(chan error, 3)
		for range 2 {
			go func() {
				_, err := d.Enter(gone)
				result <- err
			}()
		}
		synctest.Wait()
		go func() {
			turn, err := d.Enter(t.Context())
			turn.Leave()
			result <- err
		}()
		synctest.Wait()
		leave(cause)
		for range 2 {
			if err := <-result; !errors.Is(err, cause) {
				t.Error(err)
			}
		}
		ann.Leave()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"instarfs/vmm/bug"
)

var errBad = errors.New("bad image")

func give(v string, cost int) Loader[string] {
	return func(context.Context) (string, int, error) { return v, cost, nil }
}

func load(t *testing.T, c *Cache[int, string], key, cost int) {
	t.Helper()
	want := fmt.Sprint("value ", key)
	if v, err := c.Load(context.Background(), key, give(want, cost)); v != want || err != nil {
		t.Fatalf("Load(%d) = %q, %v", key, v, err)
	}
}

func keys(c *Cache[int, string]) (ks []int) {
	for k := range 10 {
		if _, ok := c.Peek(k); ok {
			ks = append(ks, k)
		}
	}
	return ks
}

func TestBudget(t *testing.T) {
	c := New[int, string](100)
	check := func(bytes int64, want ...int) {
		t.Helper()
		if got := keys(c); fmt.Sprint(got) != fmt.Sprint(want) || c.Bytes() != bytes ||
			c.Len() != len(want) {
			t.Fatalf("keeps %v, %d bytes; want %v, %d bytes", got, c.Bytes(), want, bytes)
		}
	}
	load(t, c, 1, 40)
	load(t, c, 2, 40)
	load(t, c, 3, 20)
	check(100, 1, 2, 3)
	c.Get(1) // 2 is the oldest now
	load(t, c, 4, 1)
	check(61, 1, 3, 4)
	load(t, c, 5, 101) // does not fit, and pushes nothing out
	check(61, 1, 3, 4)
	load(t, c, 6, -1)
	check(61, 1, 3, 4)
	load(t, c, 7, 100)
	check(100, 7)
	load(t, c, 8, 0)
	check(100, 7, 8)
}

func TestNothingIsKeptWithoutABudget(t *testing.T) {
	c := New[int, string](0)
	load(t, c, 1, 1)
	load(t, c, 1, 1)
	if c.Len() != 0 {
		t.Fatal(keys(c))
	}
}

func TestKeptValueIsNotMadeAgain(t *testing.T) {
	c := New[int, string](10)
	load(t, c, 1, 1)
	v, err := c.Load(context.Background(), 1, func(context.Context) (string, int, error) {
		t.Error("second run")
		return "", 0, nil
	})
	if v != "value 1" || err != nil {
		t.Fatal(v, err)
	}
}

func TestFailureIsNotKept(t *testing.T) {
	c := New[int, string](10)
	_, err := c.Load(context.Background(), 1,
		func(context.Context) (string, int, error) { return "half", 1, errBad })
	if !errors.Is(err, errBad) || c.Len() != 0 {
		t.Fatal(err, keys(c))
	}
	load(t, c, 1, 1)
}

func TestPanicIsAnError(t *testing.T) {
	c := New[int, string](10)
	_, err := c.Load(context.Background(), 1,
		func(context.Context) (string, int, error) { panic("boom") })
	var p *bug.Error
	if !errors.As(err, &p) || p.Value != "boom" || p.Where == "" {
		t.Fatalf("%v", err)
	}
	_, err = c.Load(context.Background(), 1, func(context.Context) (string, int, error) {
		runtime.Goexit()
		return "", 0, nil
	})
	if !errors.Is(err, errExited) {
		t.Fatalf("%v", err)
	}
	load(t, c, 1, 1)
}

func TestEndedContextStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errBad)
	_, err := New[int, string](10).Load(ctx, 1, func(context.Context) (string, int, error) {
		t.Error("run")
		return "", 0, nil
	})
	if !errors.Is(err, errBad) {
		t.Fatal(err)
	}
}

func TestRunSeesValuesOfItsStarter(t *testing.T) {
	type name struct{}
	ctx := context.WithValue(context.Background(), name{}, "a")
	v, err := New[int, string](10).Load(ctx, 1, func(ctx context.Context) (string, int, error) {
		return ctx.Value(name{}).(string), 1, nil
	})
	if v != "a" || err != nil {
		t.Fatal(v, err)
	}
}

// waiter is a named goroutine of the interleavings below.
type waiter struct {
	leave  context.CancelFunc
	result chan string // what Load returned, when it has
}

// wait starts a waiter for key 1 and returns when it waits.
func wait(c *Cache[int, string], load Loader[string]) waiter {
	ctx, cancel := context.WithCancel(context.Background())
	w := waiter{cancel, make(chan string, 1)}
	go func() {
		v, err := c.Load(ctx, 1, load)
		w.result <- fmt.Sprintf("%s, %v", v, err)
	}()
	synctest.Wait()
	return w
}

func (w waiter) expect(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-w.result:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	default:
		t.Fatalf("still waits, want %q", want)
	}
}

// run is a loader that tells of its starts and of the ends of its context, and returns when told.
type run struct {
	started, cancelled atomic.Int32
	finish             chan string
}

func newRun() *run { return &run{finish: make(chan string)} }

func (r *run) load(ctx context.Context) (string, int, error) {
	r.started.Add(1)
	select {
	case v := <-r.finish:
		return v, 1, nil
	case <-ctx.Done():
		r.cancelled.Add(1)
		return "", 0, context.Cause(ctx)
	}
}

func TestWaitersShareARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := New[int, string](10), newRun()
		ann, bob, cid := wait(c, r.load), wait(c, r.load), wait(c, r.load)
		// Ann started the run. She leaves, and it goes on for the others.
		ann.leave()
		ann.expect(t, ", context canceled")
		time.Sleep(10 * linger)
		r.finish <- "map"
		bob.expect(t, "map, <nil>")
		cid.expect(t, "map, <nil>")
		if r.started.Load() != 1 || r.cancelled.Load() != 0 {
			t.Fatalf("%d runs started, %d cancelled", r.started.Load(), r.cancelled.Load())
		}
	})
}

func TestRunEndsAMomentAfterTheLastWaiterLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := New[int, string](10), newRun()
		ann := wait(c, r.load)
		ann.leave()
		ann.expect(t, ", context canceled")
		time.Sleep(linger - 1)
		// Bob comes in the last nanosecond: the run is his now, and the clock for it starts anew
		// when he leaves.
		bob := wait(c, r.load)
		time.Sleep(linger)
		if r.cancelled.Load() != 0 {
			t.Fatal("cancelled while Bob waits")
		}
		bob.leave()
		bob.expect(t, ", context canceled")
		time.Sleep(linger - 1)
		synctest.Wait()
		if r.cancelled.Load() != 0 {
			t.Fatal("cancelled too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if r.started.Load() != 1 || r.cancelled.Load() != 1 {
			t.Fatalf("%d runs started, %d cancelled", r.started.Load(), r.cancelled.Load())
		}
	})
}

func TestAbandonedRunThatFinishesInTimeIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := New[int, string](10), newRun()
		ann := wait(c, r.load)
		ann.leave()
		ann.expect(t, ", context canceled")
		r.finish <- "map"
		synctest.Wait()
		if v, ok := c.Get(1); !ok || v != "map" {
			t.Fatal(v, ok)
		}
	})
}

// A cancelled run may take its time to notice. Whoever asks meanwhile must get a run of their own,
// and the late result of the cancelled one must not overwrite theirs.
func TestCancelledRunIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[int, string](10)
		deaf := make(chan struct{})
		ann := wait(c, func(context.Context) (string, int, error) {
			<-deaf
			return "late", 1, nil
		})
		ann.leave()
		ann.expect(t, ", context canceled")
		time.Sleep(linger)
		synctest.Wait()
		r := newRun()
		bob := wait(c, r.load)
		close(deaf)
		synctest.Wait()
		if v, ok := c.Peek(1); ok {
			t.Fatalf("kept %q of a cancelled run", v)
		}
		r.finish <- "fresh"
		bob.expect(t, "fresh, <nil>")
		if v, _ := c.Peek(1); v != "fresh" {
			t.Fatal(v)
		}
	})
}

func TestFailureReachesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New[int, string](10)
		fail := make(chan struct{})
		bad := func(context.Context) (string, int, error) {
			<-fail
			return "", 0, errBad
		}
		ann, bob := wait(c, bad), wait(c, bad)
		close(fail)
		ann.expect(t, ", bad image")
		bob.expect(t, ", bad image")
		load(t, c, 1, 1)
	})
}

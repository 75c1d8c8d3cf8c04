package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"instarfs/vmm/bug"
)

// TestHammer lets many goroutines load, leave, fail and panic on few keys. At any time at most one
// run of a key that was not cancelled is under way, values are those of their keys, and the books
// balance at the end.
func TestHammer(t *testing.T) {
	const keys, workers, loops, limit = 8, 16, 400, 200
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	c := New[int, int](limit)
	var running [keys]atomic.Int32
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(w)))
			for range loops {
				key, mood, patience := r.IntN(keys), r.IntN(10),
					time.Duration(r.IntN(300))*time.Microsecond
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				v, err := c.Load(ctx, key, func(ctx context.Context) (int, int, error) {
					if n := running[key].Add(1); n > 1 && ctx.Err() == nil {
						t.Errorf("%d runs of key %d", n, key)
					}
					defer running[key].Add(-1)
					time.Sleep(100 * time.Microsecond)
					switch mood {
					case 0:
						return 0, 0, errBad
					case 1:
						panic("mood")
					}
					return key * 1000, 10 + 10*key, nil
				})
				cancel()
				var p *bug.Error
				switch {
				case err == nil && v == key*1000:
				case errors.Is(err, errBad), errors.As(err, &p),
					errors.Is(err, context.DeadlineExceeded):
				default:
					t.Errorf("Load(%d) = %d, %v", key, v, err)
				}
				if n := c.Bytes(); n < 0 || n > limit {
					t.Errorf("%d bytes kept", n)
				}
			}
		})
	}
	wg.Wait()
	var sum int64
	for key := range keys {
		if v, ok := c.Get(key); ok {
			if v != key*1000 {
				t.Errorf("key %d holds %d", key, v)
			}
			sum += int64(10 + 10*key)
		}
	}
	if sum != c.Bytes() {
		t.Errorf("%d bytes kept, %d counted", sum, c.Bytes())
	}
}

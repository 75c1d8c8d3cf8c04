package ledger

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimit: what is booked never exceeds the limit, and large leases leave the last quarter to
// small ones.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mib = 1 << 20
		l := New(16 * mib)
		large := l.Lease()
		for _, step := range []struct {
			lease *Lease
			grow  int
			err   error
			used  int64
		}{
			{large, 12 * mib, nil, 12 * mib},
			{large, 1, ErrFull, 12 * mib},
			{l.Lease(), mib, nil, 13 * mib},
			{l.Lease(), mib + 1, ErrFull, 13 * mib},
			{l.Lease(), 17 * mib, ErrFull, 13 * mib},
			{l.Lease(), mib, nil, 14 * mib},
			{l.First(), 2 * mib, nil, 16 * mib},
			{l.Lease(), 1, ErrFull, 16 * mib},
			{l.First(), 1, ErrFull, 16 * mib},
		} {
			err := step.lease.Grow(step.grow)
			if n := l.Used(); !errors.Is(err, step.err) || n != step.used {
				t.Errorf("%d more: %v, %d bytes used; want %v, %d",
					step.grow, err, n, step.err, step.used)
			}
			defer step.lease.Free()
		}
		large.Free()
		large.Free()
		if l.Used() != 4*mib || large.Bytes() != 0 {
			t.Error(l.Used(), large.Bytes())
		}
	})
}

// TestWait: who asks for more than is left gets it a moment after another ends.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(100)
		first, second := l.Lease(), l.Lease()
		if err := first.Grow(60); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		time.AfterFunc(patience/2, first.Free)
		defer first.Free()
		if err := second.Grow(100); err != nil || time.Since(begin) > patience/2+pause {
			t.Error(err, time.Since(begin))
		}
		begin = time.Now()
		err := l.Lease().Grow(1)
		if took := time.Since(begin); !errors.Is(err, ErrFull) || took > patience+2*pause {
			t.Error(err, took)
		}
		second.Free()
	})
}

// TestEvict: a cache is asked for what is missing before anybody waits for long.
func TestEvict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(100)
		kept := l.Lease()
		if err := kept.Grow(80); err != nil {
			t.Fatal(err)
		}
		var asked []int64
		l.OnFull(func(n int64) {
			asked = append(asked, n)
			kept.Free()
		})
		begin, lease := time.Now(), l.Lease()
		defer lease.Free()
		err := lease.Grow(50)
		took := time.Since(begin)
		if err != nil || took > 2*pause || len(asked) != 1 || asked[0] != 50 {
			t.Error(err, took, asked)
		}
	})
}

// TestEvictInParts: memory that is full of what a cache keeps is given to one who takes it in tiny
// pieces without a wait for each.
func TestEvictInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 32 << 20
		l := New(n)
		kept := l.First()
		if err := kept.Grow(n); err != nil {
			t.Fatal(err)
		}
		l.OnFull(func(bytes int64) {
			left := int(max(0, kept.Bytes()-bytes))
			kept.Free()
			if err := kept.Grow(left); err != nil {
				t.Error(err)
			}
		})
		begin, lease := time.Now(), l.First()
		defer lease.Free()
		defer kept.Free()
		for range n / 4096 {
			if err := lease.Grow(4096); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took > 2*evictParts*pause {
			t.Errorf("took %v", took)
		}
	})
}

// TestUnreachable: what nobody refers to any more is free, without a word. Many try at the same
// time.
func TestUnreachable(t *testing.T) {
	l := New(1000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				lease := l.Lease()
				if err := lease.Grow(300); err != nil {
					t.Error(err)
				}
				runtime.KeepAlive(lease)
			}
		})
	}
	wg.Wait()
	if err := l.Lease().Grow(1000); err != nil {
		t.Error(err, l.Used())
	}
}

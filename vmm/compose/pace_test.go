package compose

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"instarfs/vmm/image"
	"instarfs/vmm/ledger"
	"instarfs/vmm/turns"
)

// errUsedUp is what is wrong when a composition of a test takes too long.
var errUsedUp = errors.New("the time is used up")

// enter begins a composition that may take some time, and any memory.
func enter(ctx context.Context, limit time.Duration) (*Pace, error) {
	a := &Allowance{Limit: limit, Err: errUsedUp}
	return Enter(ctx, turns.New(1), ledger.New(math.MaxInt64), a)
}

// slowHoles is manyHoles on a file system whose lseek takes a millisecond.
type slowHoles struct{ manyHoles }

func (f slowHoles) Spans(ctx context.Context, off, limit uint64) ([]image.Span, error) {
	time.Sleep(time.Millisecond)
	return f.manyHoles.Spans(ctx, off, off+1)
}

// TestComposingHasALimit: the time that a file system takes to tell its holes counts.
func TestComposingHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := enter(t.Context(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Leave()
		begun := time.Now()
		_, err = ShowHoles(p, layerOf(t, ext(0, 1<<50, bare, 0)), slowHoles{}, 0)
		if err != errUsedUp {
			t.Error(err)
		}
		if took := time.Since(begun); took < 10*time.Second || took > 11*time.Second {
			t.Error("ended after", took)
		}
	})
}

// TestComposingGivesWay: one processor, one composition without an end, and others that come.
func TestComposingGivesWay(t *testing.T) {
	desk := turns.New(1)
	enter := func(ctx context.Context) (*Pace, error) {
		return Enter(ctx, desk, ledger.New(math.MaxInt64), &Allowance{Limit: time.Minute})
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		p, err := enter(ctx)
		if err == nil {
			_, err = ShowHoles(p, layerOf(t, ext(0, 1<<50, bare, 0)), manyHoles{}, 0)
			p.Leave()
		}
		done <- err
	}()
	for range 10 {
		p, err := enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Leave()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestCompositionsShareAnAllowance: the time of one composition counts for the next.
func TestCompositionsShareAnAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &Allowance{Limit: 10 * time.Second, Err: errUsedUp}
		desk, memory := turns.New(1), ledger.New(math.MaxInt64)
		for i := range 3 {
			p, err := Enter(t.Context(), desk, memory, a)
			if err != nil {
				t.Fatal(err)
			}
			err = p.ask(func() error {
				time.Sleep(4 * time.Second)
				return nil
			})
			p.Leave()
			if used := a.Used(); err == nil != (i < 2) || used < time.Duration(i+1)*4*time.Second {
				t.Errorf("composition %d: %v, %v used", i, err, used)
			}
		}
	})
}

package chain

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"time"

	"instarfs/vmm/compose"
	"instarfs/vmm/failure"
	"instarfs/vmm/gate"
	"instarfs/vmm/image"
	"instarfs/vmm/ledger"
	"instarfs/vmm/turns"
)

// Limits bound what maps may cost. What is not a run of a guest has limits of its own, and so has a
// map in all; the error is failure.ErrSlow. A field that is zero has its default, except Cache.
type Limits struct {
	Cache  int64          // bytes of maps that are kept
	Memory *ledger.Ledger // where the memory of maps is booked; by default one without a limit
	Turns  *turns.Desk    // who may compose; by default one of its own

	Call    time.Duration // for one call to a file system, gate.DefaultCallTime
	Source  time.Duration // for all reads of the files under one map, DefaultSource
	Compose time.Duration // for putting one map together, lseek(2) included, DefaultCompose
	Map     time.Duration // for one map in all, DefaultMap
}

// The defaults. What a guest may use is the business of session.Budget.
const (
	DefaultSource  = 10 * time.Minute
	DefaultCompose = time.Minute
	DefaultMap     = 15 * time.Minute
)

// complete fills in the defaults.
func (l Limits) complete() Limits {
	if l.Memory == nil {
		l.Memory = ledger.New(math.MaxInt64)
	}
	if l.Turns == nil {
		l.Turns = turns.New(runtime.GOMAXPROCS(0))
	}
	l.Call = cmp.Or(l.Call, gate.DefaultCallTime)
	l.Source = cmp.Or(l.Source, DefaultSource)
	l.Compose = cmp.Or(l.Compose, DefaultCompose)
	l.Map = cmp.Or(l.Map, DefaultMap)
	return l
}

// spent is what one map has used of its limits. A layer that several maps wait for is on the
// account of the first.
type spent struct {
	source  *compose.Allowance
	compose *compose.Allowance
}

func (l *Limits) newSpent() *spent {
	return &spent{
		source:  allowance(l.Source, "reading the files", "--source-time"),
		compose: allowance(l.Compose, "putting the map together", "--compose-time"),
	}
}

// allowance is time for something, of which an option allows more.
func allowance(limit time.Duration, what, option string) *compose.Allowance {
	err := failure.Limit{What: what, Limit: limit, Option: option}
	return &compose.Allowance{Limit: limit, Err: err}
}

type spentKey struct{}

// begin returns a context for one map: it ends when the map takes too long.
func (l *Limits) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithValue(ctx, spentKey{}, l.newSpent())
	slow := failure.Limit{What: "the map", Limit: l.Map, Option: "--map-time"}
	return context.WithTimeoutCause(ctx, l.Map, slow)
}

// spentOf returns what the map of ctx has used; without a map nothing, of the default limits.
func spentOf(ctx context.Context) *spent {
	if s, ok := ctx.Value(spentKey{}).(*spent); ok {
		return s
	}
	defaults := Limits{}.complete()
	return defaults.newSpent()
}

// little reports whether nearly all of the limits is left.
func (s *spent) little() bool {
	return s.source.Used() < s.source.Limit/10 && s.compose.Used() < s.compose.Limit/10
}

// enter waits for the turn of a composition for the map of ctx.
func (l *Limits) enter(ctx context.Context) (*compose.Pace, error) {
	return compose.Enter(ctx, l.Turns, l.Memory, spentOf(ctx).compose)
}

// reading counts the time that f takes to read files of the map of ctx. The context of f ends when
// that time is used up.
func reading(ctx context.Context, f func(ctx context.Context) error) error {
	source := spentOf(ctx).source
	left := source.Limit - source.Used()
	if left <= 0 {
		return source.Err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, left, source.Err)
	defer cancel()
	begun := time.Now()
	err := f(ctx)
	source.Use(time.Since(begun))
	return err
}

// metered is a file whose reads are charged to the map of their context.
type metered struct{ *image.File }

// ReadAt implements session.Image.
func (m metered) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	err = reading(ctx, func(ctx context.Context) (err error) {
		n, err = m.File.ReadAt(ctx, p, off)
		return err
	})
	return n, err
}

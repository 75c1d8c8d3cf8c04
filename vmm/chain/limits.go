package chain

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"instarfs/vmm/gate"
	"instarfs/vmm/ledger"
	"instarfs/vmm/turns"
)

// Limits bound what maps may cost. A field that is zero has its default, but for Cache.
type Limits struct {
	Cache  int64          // bytes of maps that are kept
	Memory *ledger.Ledger // what maps are accounted on; by default one without a limit
	Turns  *turns.Desk    // who may compose; by default one of its own

	Call    time.Duration // for one call to a file system, gate.DefaultCallTime
	Source  time.Duration // for all reads of the files under one map, DefaultSource
	Compose time.Duration // for putting one map together, lseek(2) included, DefaultCompose
	Map     time.Duration // for one map in all, DefaultMap
}

// The defaults. What a guest may take is a matter of session.Budget.
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

// limitError says which time was used up, and what raises the limit.
type limitError struct {
	what   string
	limit  time.Duration
	option string
}

func (e limitError) Error() string {
	return fmt.Sprintf("%s takes more than %v (%s allows more)", e.what, e.limit, e.option)
}

// Is makes every limitError match ErrSlow.
func (e limitError) Is(target error) bool { return target == ErrSlow }

func (l *Limits) errSource() error {
	return limitError{"reading the files", l.Source, "--source-time"}
}

func (l *Limits) errCompose() error {
	return limitError{"putting the map together", l.Compose, "--compose-time"}
}

func (l *Limits) errMap() error { return limitError{"the map", l.Map, "--map-time"} }

// spent is what one map has used of its limits. A layer that several maps wait for is on the
// account of the first.
type spent struct {
	limits  *Limits
	source  atomic.Int64 // nanoseconds
	compose atomic.Int64
}

type spentKey struct{}

// begin returns a context for one map: it ends when the map takes too long.
func (l *Limits) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithValue(ctx, spentKey{}, &spent{limits: l})
	return context.WithTimeoutCause(ctx, l.Map, l.errMap())
}

// spentOf is what the map of ctx has used; without a map nothing, and without a limit that matters.
func spentOf(ctx context.Context) *spent {
	if s, ok := ctx.Value(spentKey{}).(*spent); ok {
		return s
	}
	defaults := Limits{}.complete()
	return &spent{limits: &defaults}
}

// little reports whether nearly all of the limits is left.
func (s *spent) little() bool {
	return time.Duration(s.source.Load()) < s.limits.Source/10 &&
		time.Duration(s.compose.Load()) < s.limits.Compose/10
}

// reading counts the time that f takes to read files of the map of ctx. The context of f ends when
// that is used up.
func reading(ctx context.Context, f func(ctx context.Context) error) error {
	s := spentOf(ctx)
	left := s.limits.Source - time.Duration(s.source.Load())
	if left <= 0 {
		return s.limits.errSource()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, left, s.limits.errSource())
	defer cancel()
	begun := time.Now()
	err := f(ctx)
	s.source.Add(int64(time.Since(begun)))
	return err
}

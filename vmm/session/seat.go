package session

import (
	"context"
	"errors"
)

// errCrowded says that too many long runs are under way: the run is to be begun again when one of
// them has ended.
var errCrowded = errors.New("too many long runs are under way")

// seat is a place among a limited number: of a long run, which keeps its guest while it waits for
// its turns, or of any run.
type seat struct {
	free  chan struct{} // takes a token for each seat that is taken
	taken bool
}

// try takes the seat if there is one.
func (s *seat) try() bool {
	if s.taken {
		return true
	}
	select {
	case s.free <- struct{}{}:
		s.taken = true
	default:
	}
	return s.taken
}

// take waits for the seat.
func (s *seat) take(ctx context.Context) error {
	select {
	case s.free <- struct{}{}:
		s.taken = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave gives the seat to the next one.
func (s *seat) leave() {
	if s.taken {
		<-s.free
	}
}

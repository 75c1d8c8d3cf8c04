package chain

import (
	"errors"
	"time"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm/session"
)

// What came of a file once will come of it again: a failure is kept like a layer, so that whoever
// reads a broken image again and again does not have it mapped each time.

// failureTime is how long a failure is kept that depends on limits or on the guest. Damage is kept
// until the file changes.
const failureTime = time.Minute

// failureCost is the memory of a failure that is kept, bytes.
const failureCost = 1 << 10

// failed is a failure that is kept.
type failed struct {
	err   error
	until time.Time // zero for ever
}

// lasting returns what to keep of an error, nil if it may be another one the next time: files that
// cannot be read, locks, memory, a reader that left.
func lasting(err error) *failed {
	var f *fault.Fault
	var g *session.GuestError
	switch {
	case errors.As(err, &f) && f.Class() != fault.IO:
		return &failed{err: err}
	case errors.As(err, &g) && g.Kind != session.KindCarrier,
		errors.Is(err, ErrSlow), errors.Is(err, extent.ErrTooMany):
		return &failed{err, time.Now().Add(failureTime)}
	}
	return nil
}

// keepFailure is what a loader returns for an error. Of the time that a map may take the one that
// comes next may have more, unless the loader had nearly all of it.
func keepFailure(err error, hadAll bool) (kept, int, error) {
	if f := lasting(err); f != nil && (hadAll || !errors.Is(err, ErrSlow)) {
		return kept{failed: f}, failureCost, nil
	}
	return kept{}, 0, err
}

// over reports whether a failure has been kept long enough.
func (f *failed) over() bool { return !f.until.IsZero() && time.Now().After(f.until) }

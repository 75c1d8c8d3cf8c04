package chain

import (
	"errors"
	"time"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm/failure"
	"instarfs/vmm/session"
)

// A file that failed once will fail again. So a failure is kept like a layer, and reading a broken
// image again and again does not map it each time.

// failureTime is how long a failure is kept that depends on limits or on the guest. Damage is kept
// until the file changes.
const failureTime = time.Minute

// failed is a failure that is kept.
type failed struct {
	err   error
	until time.Time // zero: for ever
}

// lasting returns what to keep of an error. It is nil if the next try may end differently: files
// that cannot be read, locks, memory, a reader that left.
func lasting(err error) *failed {
	var f *fault.Fault
	var g *session.GuestError
	switch {
	case errors.As(err, &f) && f.Class() != fault.IO:
		return &failed{err: err}
	case errors.As(err, &g) && !g.Kind.Passing(),
		errors.Is(err, failure.ErrSlow), errors.Is(err, extent.ErrTooMany):
		return &failed{err, time.Now().Add(failureTime)}
	}
	return nil
}

// over reports whether a failure has been kept long enough.
func (f *failed) over() bool { return !f.until.IsZero() && time.Now().After(f.until) }

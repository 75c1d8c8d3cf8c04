package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"instarfs/guest/show"
)

// Kind says how a run ended that did not end well.
type Kind int

// The kinds of GuestError.
const (
	KindFault       Kind = iota // the program took a processor exception
	KindTripleFault             // the exception could not even be delivered
	KindSyscall                 // a system call that is not answered
	KindExit                    // the program ended by itself: a panic, if it logged one
	KindDeadlock                // every thread of the program waits
	KindProtocol                // ring, result, doorbell or virtqueue against the rules
	KindMemory                  // guest memory is used up
	KindDeadline                // budget: time
	KindExits                   // budget: exits to the host
	KindReads                   // budget: bytes of the image
	KindExtents                 // budget: extents
	KindCarrier                 // KVM or the kernel did not do what was asked
	KindKilled                  // the kernel or a user ended it, for want of memory most likely
)

var kindNames = [...]string{
	"exception", "triple fault", "forbidden system call", "exit", "deadlock", "protocol violation",
	"out of guest memory",
	"time limit", "exit limit", "read limit", "extent limit", "carrier", "killed",
}

func (k Kind) String() string { return kindNames[k] }

// Budget reports whether k means that the run asked for more than it may have, rather than doing
// something forbidden.
func (k Kind) Budget() bool { return k == KindMemory || k >= KindDeadline && k <= KindExtents }

// Passing reports whether k says nothing about the image: the next run may end well.
func (k Kind) Passing() bool { return k == KindCarrier || k == KindKilled }

// ErrClosed says that a pool of guests was closed.
var ErrClosed = errors.New("pool is closed")

// ErrNoGuest says that a carrier could not start a guest.
var ErrNoGuest = errors.New("no map guest can be started")

// NoGuest makes an ErrNoGuest of why there is none, unless ctx has ended or the pool was closed.
func NoGuest(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoGuest, err)
}

// MaxLog is how much of a guest's stderr is kept, bytes.
const MaxLog = 4096

// GuestError says what a guest did that ended its run, and where. The guest is destroyed.
type GuestError struct {
	Kind    Kind
	Carrier string // of the run: Transport.Carrier
	What    string // one line, made by the host
	RIP     uint64 // guest instruction pointer, 0 when it does not matter
	Log     string // what the guest wrote to its stderr, capped; hostile: quote it
	Err     error  // the cause, if there is one
}

// maxLogged is how many bytes of a guest's log an error shows.
const maxLogged = 200

// Error is one line. What the guest logged is quoted and its first line only.
func (e *GuestError) Error() string {
	var b strings.Builder
	b.WriteString("map guest")
	if e.Carrier != "" {
		fmt.Fprintf(&b, " (%s)", e.Carrier)
	}
	fmt.Fprintf(&b, ": %s: %s", e.Kind, e.What)
	if e.RIP != 0 {
		fmt.Fprintf(&b, " (at %#x)", e.RIP)
	}
	if first, _, _ := strings.Cut(e.Log, "\n"); first != "" {
		b.WriteString(", it said " + show.Quote(first, maxLogged))
	}
	return b.String()
}

func (e *GuestError) Unwrap() error { return e.Err }

// Errorf makes a GuestError.
func Errorf(k Kind, format string, args ...any) *GuestError {
	return &GuestError{Kind: k, What: fmt.Sprintf(format, args...)}
}

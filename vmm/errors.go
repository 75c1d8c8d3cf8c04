package vmm

import (
	"fmt"
	"strings"
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
	KindMachine                 // KVM did not do what was asked
)

var kindNames = [...]string{
	"exception", "triple fault", "forbidden system call", "exit", "deadlock", "protocol violation", "out of guest memory",
	"time limit", "exit limit", "read limit", "extent limit", "virtual machine",
}

func (k Kind) String() string { return kindNames[k] }

// Budget reports whether k means that the run asked for more than it may have, rather than doing something forbidden.
func (k Kind) Budget() bool { return k == KindMemory || k >= KindDeadline && k <= KindExtents }

// GuestError says what a guest did that ended its run, and where. The machine it happened in is destroyed.
type GuestError struct {
	Kind Kind
	What string // one line, made by the host
	RIP  uint64 // guest instruction pointer, 0 when it does not matter
	Log  string // what the guest wrote to its stderr, capped; hostile: quote it
	Err  error  // the cause, if there is one
}

// Error is one line. What the guest logged is quoted and its first line only.
func (e *GuestError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "map guest: %s: %s", e.Kind, e.What)
	if e.RIP != 0 {
		fmt.Fprintf(&b, " (at %#x)", e.RIP)
	}
	if first, _, _ := strings.Cut(e.Log, "\n"); first != "" {
		fmt.Fprintf(&b, ", it said %.200q", first)
	}
	return b.String()
}

func (e *GuestError) Unwrap() error { return e.Err }

func guestError(k Kind, format string, args ...any) *GuestError {
	return &GuestError{Kind: k, What: fmt.Sprintf(format, args...)}
}

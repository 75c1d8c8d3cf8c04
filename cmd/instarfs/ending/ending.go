// Package ending says how a command ends: the kinds of its errors, and the exit status of each. How
// they are printed is for others to say.
package ending

import (
	"errors"
	"fmt"
	"syscall"

	"instarfs/cmd/instarfs/process"
)

// Usage is a command line that makes no sense.
type Usage struct{ Err error }

func (e Usage) Error() string { return e.Err.Error() }
func (e Usage) Unwrap() error { return e.Err }

// Usagef makes a Usage.
func Usagef(format string, args ...any) error { return Usage{fmt.Errorf(format, args...)} }

// Qemu is a text of qemu-img, which may have more than one line.
type Qemu struct{ Text string }

func (e Qemu) Error() string { return e.Text }

// Getopt is a text of the C library's getopt, which names the command too.
type Getopt struct{ Text string }

func (e Getopt) Error() string { return e.Text }

// Abort is an assertion that fails in qemu-img, which ends it by SIGABRT.
type Abort struct{ Assertion string }

func (e Abort) Error() string { return e.Assertion }

// Helper is an error with the exit status that mount(8) passes on.
type Helper struct {
	Code int
	Err  error
}

func (e Helper) Error() string { return e.Err.Error() }
func (e Helper) Unwrap() error { return e.Err }

// Status returns the exit status of a command that ended with err; it is decided nowhere else. map
// answers 1 where others answer 2, because scripts made for qemu-img know no other: its mistakes on
// the command line are no Usage.
func Status(err error) int {
	var usage Usage
	var sig process.SignalError
	var abort Abort
	var status process.StatusError
	var helper Helper
	switch {
	case err == nil:
		return 0
	case errors.As(err, &helper) && !errors.As(err, &status):
		return helper.Code
	case errors.As(err, &status):
		return status.Code
	case errors.As(err, &abort):
		return 128 + int(syscall.SIGABRT)
	case errors.As(err, &sig):
		return sig.Status()
	case errors.As(err, &usage):
		return 2
	default:
		return 1
	}
}

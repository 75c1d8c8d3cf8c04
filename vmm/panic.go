package vmm

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// PanicError is a bug of this program that struck during a run. Like any other failure it ends that
// run and its machine, and nothing else.
type PanicError struct {
	Value any    // of the panic
	Where string // source files and lines, the innermost first
}

// Error is one line.
func (e *PanicError) Error() string {
	return fmt.Sprintf("a bug of instarfs, please report it: panic: %v (%s)", e.Value, e.Where)
}

// guarded calls f, and returns a panic of it as a *PanicError. Every goroutine of this package runs
// what could panic by way of it: a panic that nobody recovers from ends the program.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Where: where()}
		}
	}()
	return f()
}

// maxFrames is how many callers a PanicError names.
const maxFrames = 8

// where names the callers of a deferred function that has recovered from a panic, as FILE:LINE. The
// runtime's own are left out.
func where() string {
	pcs := make([]uintptr, 4*maxFrames)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var names []string
	for more := true; more && len(names) < maxFrames; {
		var f runtime.Frame
		f, more = frames.Next()
		if f.File != "" && !strings.HasPrefix(f.Function, "runtime.") {
			names = append(names, fmt.Sprintf("%s:%d", path.Base(f.File), f.Line))
		}
	}
	return strings.Join(names, " < ")
}

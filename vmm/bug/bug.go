// Package bug turns panics into errors. A panic that no function of its goroutine recovers from
// ends the program; here it ends one piece of work, and whoever waits for that is told.
package bug

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// Error is a panic, which is always a bug of this program.
type Error struct {
	Value any    // of the panic
	Where string // FILE:LINE of the panic and of its callers, the innermost first
}

// Error is one line, unless the value has more.
func (e *Error) Error() string {
	return fmt.Sprintf("a bug of instarfs, please report it: panic: %v (%s)", e.Value, e.Where)
}

// Guard calls f and returns what it returns, or its panic as an *Error.
func Guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Error{Value: p, Where: where()}
		}
	}()
	return f()
}

// maxFrames is how many callers an Error names.
const maxFrames = 8

// where names the callers of the deferred function of Guard. The runtime's own are left out.
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

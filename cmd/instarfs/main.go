// Command instarfs shows allocation maps of disk images: as files of a mount, or one at a time on standard output.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

func main() {
	restoreAddresses()
	os.Exit(start(os.Args[1:], wire()))
}

// start runs the program as a process: with what signals mean to it.
func start(args []string, e *env) int {
	// A reader that leaves is an error of the write, not the end of the program: qemu-img ignores it and so does its profile.
	signal.Ignore(syscall.SIGPIPE)
	e.behind = isBehind()
	e.leave.tell = tellFront()
	dumpOnSignal(&e.leave)
	code := run(untilSignal(context.Background(), &e.leave), args, e)
	e.leave.tell(code)
	return code
}

// untilSignal returns a context that ends with the first SIGINT, SIGTERM or SIGHUP. The second
// SIGINT or SIGTERM ends the program at once, unless SIGHUP came first: systemd ends a session with
// SIGTERM and SIGHUP together, in either order. A SIGHUP that was ignored from the start, as by
// nohup(1), stays so.
func untilSignal(parent context.Context, leave *leaving) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		first := <-signals
		cancel(signalError{first.(syscall.Signal)})
		insisting := first != syscall.SIGHUP
		for next := range signals {
			switch {
			case next == syscall.SIGHUP:
			case insisting:
				leave.exit(next.(syscall.Signal), exitCode(signalError{next.(syscall.Signal)}))
			default:
				insisting = true
			}
		}
	}()
	return ctx
}

// maxDump bounds what dumpOnSignal prints, bytes: a kilobyte for each of some thousand goroutines.
const maxDump = 16 << 20

// dumpOnSignal makes SIGQUIT and SIGABRT print what all goroutines are doing and end the program
// with status 2, as the Go runtime does, but not before what must not be left undone is done.
func dumpOnSignal(leave *leaving) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGQUIT, syscall.SIGABRT)
	go func() {
		asked := <-signals
		dump := make([]byte, maxDump)
		dump = dump[:runtime.Stack(dump, true)]
		fmt.Fprintf(os.Stderr, "instarfs: %v\n\n%s\n", asked, dump)
		leave.exit(asked.(syscall.Signal), 2)
	}()
}

// leaving is what must not be left undone even when the program ends at once.
type leaving struct {
	mu sync.Mutex // guards last
	// last is given the signal that ends the program. It must be quick, and is nil when there is nothing to do.
	last func(syscall.Signal)
	// tell tells the exit status to the front process, if there is one. It is set at the start.
	tell func(code int)
}

func (l *leaving) do(last func(syscall.Signal)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = last
}

// exit ends the program. It keeps the lock, so that a command whose work ends by this does not end
// the program first and with another status.
func (l *leaving) exit(by syscall.Signal, code int) {
	l.mu.Lock()
	if l.last != nil {
		l.last(by)
	}
	l.tell(code)
	os.Exit(code)
}

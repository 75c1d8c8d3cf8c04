package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SignalError ends a command that a signal interrupted.
type SignalError struct{ Signal syscall.Signal }

func (e SignalError) Error() string { return "interrupted by signal: " + e.Signal.String() }

// Status is the exit status of a program that a signal ended, as a shell counts it.
func (e SignalError) Status() int { return 128 + int(e.Signal) }

// UntilSignal returns a context that ends with the first SIGINT, SIGTERM or SIGHUP; the cause is a
// SignalError. The second SIGINT or SIGTERM ends the program at once, unless SIGHUP came first:
// systemd ends a session with SIGTERM and SIGHUP together, in either order. A SIGHUP that was
// ignored from the start, as by nohup(1), stays ignored.
func (l *Leaving) UntilSignal(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go heed()
	go func() {
		first := (<-signals).(syscall.Signal)
		cancel(SignalError{first})
		insisting := first != syscall.SIGHUP
		for next := range signals {
			switch {
			case next == syscall.SIGHUP:
			case insisting:
				by := next.(syscall.Signal)
				l.exit(by, SignalError{by}.Status())
			default:
				insisting = true
			}
		}
	}()
	return ctx
}

// heedEvery is how long a signal may go unheeded.
const heedEvery = time.Second

// heed makes sure that a signal is seen. The kernel gives one that is for the process to any of its
// threads, the first one preferred, and may choose one that waits, without being woken by a signal,
// for a file system that does not answer (complete_signal in kernel/signal.c). A signal for a
// thread of ours has that thread take those for the process as well. SIGURG means nothing to Go.
func heed() {
	for range time.Tick(heedEvery) {
		runtime.LockOSThread()
		_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGURG)
		runtime.UnlockOSThread()
	}
}

// TryChildren has package os try now what it tries before its first child: a child that shares the
// memory and the signal handlers of this process (os.checkPidfd). A service manager that ends a
// service sends a signal to each of its processes. If that includes this child, the handler runs
// twice, which looks like a second signal. So it must not be at the end, when fusermount3 is run.
func TryChildren() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Release()
	}
}

// maxDump is how much DumpOnSignal prints, bytes: a kilobyte for each of some thousand goroutines.
const maxDump = 16 << 20

// DumpOnSignal makes SIGQUIT and SIGABRT print what all goroutines are doing and end the program
// with status 2, as the Go runtime does, but only after what must not be left undone.
func (l *Leaving) DumpOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGQUIT, syscall.SIGABRT)
	go func() {
		asked := (<-signals).(syscall.Signal)
		dump := make([]byte, maxDump)
		dump = dump[:runtime.Stack(dump, true)]
		fmt.Fprintf(os.Stderr, "instarfs: %v\n\n%s\n", asked, dump)
		l.exit(asked, 2)
	}()
}

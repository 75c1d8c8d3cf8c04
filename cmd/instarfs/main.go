// Command instarfs shows allocation maps of disk images: as files of a mount, or one at a time on standard output.
package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

func main() { os.Exit(start(os.Args[1:], wire())) }

// start runs the program as a process: with what signals mean to it.
func start(args []string, e *env) int {
	// A reader that leaves is an error of the write, not the end of the program: qemu-img ignores it and so does its profile.
	signal.Ignore(syscall.SIGPIPE)
	return run(untilSignal(context.Background(), &e.leave), args, e)
}

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. The second one ends the program at once.
func untilSignal(parent context.Context, leave *leaving) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	next := func() signalError { return signalError{(<-signals).(syscall.Signal)} }
	go func() {
		cancel(next())
		err := next()
		leave.now()
		os.Exit(exitCode(err))
	}()
	return ctx
}

// leaving is what must not be left undone even when the program ends at once.
type leaving struct {
	mu sync.Mutex // guards last
	// last must be quick.
	last func()
}

func (l *leaving) do(last func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = last
}

func (l *leaving) now() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last != nil {
		l.last()
	}
}

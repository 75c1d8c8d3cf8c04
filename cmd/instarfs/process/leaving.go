// Package process is the life of the program as a process: what signals mean to it, what it must
// not leave undone when it ends at once, and how it ends although the kernel holds one of its
// threads.
package process

import (
	"os"
	"sync"
	"syscall"
)

// Leaving is how the program ends. It is safe for concurrent use.
type Leaving struct {
	behind   bool
	detached bool
	tell     func(code int) // tells the exit status to the front process, if there is one

	mu   sync.Mutex // guards last
	last func(syscall.Signal)
}

// NewLeaving must be called once, at the start of the program.
func NewLeaving() *Leaving {
	l := &Leaving{behind: os.Getenv(behind) != "", detached: os.Getenv(detachedBy) != ""}
	if l.detached {
		os.Unsetenv(detachedBy)
		syscall.CloseOnExec(readyFD)
	}
	l.tell = l.tellFront()
	return l
}

// Behind reports whether this process is the child of a front process: see ServeBehind.
func (l *Leaving) Behind() bool { return l.behind }

// Do sets what must not be left undone, even if the program ends at once: last is called with the
// signal that ends it. It must be quick. Nil means that there is nothing to do.
func (l *Leaving) Do(last func(syscall.Signal)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = last
}

// Tell must be called with the exit status before the program ends by itself.
func (l *Leaving) Tell(code int) { l.tell(code) }

// exit ends the program. It keeps the lock, so that a command whose work ends by this does not end
// the program first and with another status.
func (l *Leaving) exit(by syscall.Signal, code int) {
	l.mu.Lock()
	if l.last != nil {
		l.last(by)
	}
	l.tell(code)
	os.Exit(code)
}

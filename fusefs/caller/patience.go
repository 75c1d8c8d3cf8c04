package caller

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// interruptPoll is how often a caller that was interrupted is looked at again. The kernel sends
// INTERRUPT once for each request, so a SIGKILL that follows a harmless signal shows only in /proc.
const interruptPoll = 25 * time.Millisecond

// ErrInterrupted is the error of a request whose caller is about to die.
var ErrInterrupted = fmt.Errorf("interrupted: %w", syscall.EINTR)

// Patience returns a context for what a request waits for. It ends with mount, the context of the
// mount. It also ends, with ErrInterrupted as its cause, when the request is interrupted and its
// caller is about to die. done must be called when nothing is waited for any more.
func Patience(mount, request context.Context) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(mount)
	over := make(chan struct{})
	stop := context.AfterFunc(request, func() {
		if !await(request, over) {
			cancel(ErrInterrupted)
		}
	})
	return ctx, func() {
		stop()
		close(over)
		cancel(nil)
	}
}

// await waits for done. It gives up, and returns false, when the request of ctx was interrupted and
// its caller is about to die. The context of a request ends with any signal, including SIGALRM and
// Go's SIGURG, after which programs do not expect stat to fail. A context that belongs to no
// request, and a caller in another PID namespace, are given up at once.
func await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	tid := Thread(ctx)
	if tid == 0 {
		return false
	}
	tick := time.NewTicker(interruptPoll)
	defer tick.Stop()
	for {
		if dying(tid) {
			return false
		}
		select {
		case <-done:
			return true
		case <-tick.C:
		}
	}
}

// dying reports whether a thread has a signal pending that ends it, or is gone.
func dying(tid uint32) bool {
	status, err := os.ReadFile(procFile(tid, "status"))
	return err != nil || fatalPending(status)
}

func bit(s syscall.Signal) uint64 { return 1 << (s - 1) }

var (
	// People and service managers send these to end a program. A program that catches them means to
	// end as well, or to return to its prompt; so they count as fatal even if there is a handler.
	asked = bit(syscall.SIGINT) | bit(syscall.SIGTERM) | bit(syscall.SIGHUP) | bit(syscall.SIGQUIT)
	// By default these are ignored or stop the program, see signal(7). All others end it.
	harmless = bit(syscall.SIGCHLD) | bit(syscall.SIGCONT) | bit(syscall.SIGURG) |
		bit(syscall.SIGWINCH) | bit(syscall.SIGSTOP) | bit(syscall.SIGTSTP) |
		bit(syscall.SIGTTIN) | bit(syscall.SIGTTOU)
)

// fatalPending reads a /proc/TID/status, see proc_pid_status(5): sets of signals are hexadecimal,
// bit n-1 is signal n.
func fatalPending(status []byte) bool {
	var pending, blocked, ignored, caught uint64
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		set, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		if err != nil {
			continue
		}
		switch string(name) {
		case "SigPnd", "ShdPnd": // of the thread, of the process
			pending |= set
		case "SigBlk":
			blocked = set
		case "SigIgn":
			ignored = set
		case "SigCgt":
			caught = set
		}
	}
	if pending&bit(syscall.SIGKILL) != 0 {
		return true
	}
	pending &^= blocked | ignored
	return pending&asked != 0 || pending&^(caught|harmless) != 0
}

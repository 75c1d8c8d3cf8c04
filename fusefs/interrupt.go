package fusefs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// interruptPoll is how often a caller that was interrupted is looked at again: the kernel sends INTERRUPT once per
// request, so a SIGKILL that follows a harmless signal shows only in /proc.
const interruptPoll = 25 * time.Millisecond

// errInterrupted is the error of a request whose caller is about to die.
var errInterrupted = fmt.Errorf("interrupted: %w", syscall.EINTR)

// patience returns a context for what a request waits for. It ends with the mount, and when the request is interrupted and
// its caller is about to die: the cause is errInterrupted then. done must be called when nothing is waited for any more.
func patience(mount, request context.Context) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(mount)
	over := make(chan struct{})
	stop := context.AfterFunc(request, func() {
		if !await(request, over) {
			cancel(errInterrupted)
		}
	})
	return ctx, func() {
		stop()
		close(over)
		cancel(nil)
	}
}

// await waits for done. It gives up, and returns false, when the request in ctx was interrupted and its caller is about to
// die of it. The context of a request ends with any signal, also with SIGALRM or Go's SIGURG, after which programs do not
// expect stat to fail. A context that belongs to no request, and a caller of another PID namespace, are given up at once.
func await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	tid := callerOf(ctx)
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

// callerOf is the thread that made the request of ctx, 0 if there is none that can be named.
func callerOf(ctx context.Context) uint32 {
	if caller, ok := fuse.FromContext(ctx); ok {
		return caller.Pid
	}
	return 0
}

// dying reports whether a thread has a signal pending that ends it, or is gone.
func dying(tid uint32) bool {
	status, err := os.ReadFile(procFile(tid, "status"))
	return err != nil || fatalPending(status)
}

func bit(s syscall.Signal) uint64 { return 1 << (s - 1) }

var (
	// People and service managers send these to end a program. One that catches them means to end as well, or to return
	// to its prompt; so they count as fatal even when there is a handler.
	asked = bit(syscall.SIGINT) | bit(syscall.SIGTERM) | bit(syscall.SIGHUP) | bit(syscall.SIGQUIT)
	// By default these are ignored or stop the program, see signal(7). All others end it.
	harmless = bit(syscall.SIGCHLD) | bit(syscall.SIGCONT) | bit(syscall.SIGURG) | bit(syscall.SIGWINCH) |
		bit(syscall.SIGSTOP) | bit(syscall.SIGTSTP) | bit(syscall.SIGTTIN) | bit(syscall.SIGTTOU)
)

// fatalPending reads a /proc/TID/status, see proc_pid_status(5): signal sets are hexadecimal, bit n-1 is signal n.
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

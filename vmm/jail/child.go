package jail

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// child is a process that runs the guest program, for one run.
type child struct {
	channel
	pid      int
	log      int           // read end, nonblocking, of the pipe that the Go runtime writes to
	listener int           // of refused system calls, -1 if there is none
	statm    int           // /proc/PID/statm, -1 if it could not be opened
	cpu      time.Duration // the limit of its processor time
	lease    *ledger.Lease
	disk     *session.Disk
	results  []byte // of the last script

	end    sync.Once
	mu     sync.Mutex // guards reaped, and the process number with it
	reaped bool       // the process number may belong to another process now
	gone   chan struct{}
	status unix.WaitStatus // how it ended; this and spent are valid once gone is closed
	spent  time.Duration   // its processor time, by the clock that the kernel's limit goes by
}

// signal sends a signal unless the process was reaped. Any goroutine may call it. That the host may
// send signals was seen when the child was started.
func (c *child) signal(s unix.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return nil
	}
	return unix.Kill(c.pid, s)
}

// kill ends the process and does not wait until it is gone. Any goroutine may call it.
func (c *child) kill() {
	_ = c.signal(unix.SIGKILL)
	c.end.Do(func() {
		go func() {
			defer close(c.gone)
			c.reap()
		}()
	})
}

// reap waits until the process ends.
func (c *child) reap() {
	for unix.Waitid(unix.P_PID, c.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	c.spent = processorTime(c.pid)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = unix.Wait4(c.pid, &c.status, 0, nil) // which does not wait: the process has ended
	c.reaped = true
}

// close ends the process, waits until it is gone, and frees what the host holds for it.
func (c *child) close() {
	c.kill()
	// One that the host may not kill has had no job yet, and ends with its stream.
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
	<-c.gone
	for _, fd := range []int{c.fd, c.log, c.listener, c.statm} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	c.lease.Free()
}

// stop keeps the child from running until proceed. The child does not notice.
func (c *child) stop()    { _ = c.signal(unix.SIGSTOP) }
func (c *child) proceed() { _ = c.signal(unix.SIGCONT) }

// logged returns what the child wrote to its log so far, capped. It is hostile.
func (c *child) logged() string {
	b := make([]byte, session.MaxLog)
	n := 0
	for n < len(b) {
		m, err := unix.Read(c.log, b[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || m <= 0 {
			break
		}
		n += m
	}
	return string(b[:n])
}

// endTime is how long a child may take to end after its stream has ended.
const endTime = time.Second

// death returns how a child ended whose stream has ended.
func (c *child) death() *session.GuestError {
	own := c.awaitEnd(endTime)
	c.kill()
	<-c.gone
	log := c.logged()
	kind, what := session.KindExit, ""
	switch s := c.status; {
	case !own:
		kind, what = session.KindProtocol, "the program closed its channel"
	case s.Exited():
		what = fmt.Sprintf("the program ended with status %d", s.ExitStatus())
		if outOfMemory(log) {
			kind = session.KindMemory
			what = fmt.Sprintf("the program needs more than the %d MiB that it has", dataLimit>>20)
		}
	case s.Signal() == unix.SIGSYS:
		kind, what = session.KindSyscall, "a system call that is not answered"
	case s.Signal() == unix.SIGKILL && c.spent >= c.cpu:
		kind = session.KindDeadline
		what = fmt.Sprintf("no result after %v of processor time on all processors", c.cpu)
	case s.Signal() == unix.SIGKILL:
		kind, what = session.KindKilled, "the kernel ended the program (out of memory?)"
	case isFault(s.Signal()):
		kind, what = session.KindFault, s.Signal().String()
	default:
		what = "the program ended by signal: " + s.Signal().String()
	}
	e := session.Errorf(kind, "%s", what)
	e.Log = log
	return e
}

// processorTime returns the processor time of a process that was not reaped yet, and 0 if the
// kernel does not tell. It reads the clock that RLIMIT_CPU is compared with, which counts ticks:
// getrusage tells a finer time, which was seen a quarter shorter on a busy machine.
func processorTime(pid int) time.Duration {
	const cpuclockProf = 0 // include/linux/posix-timers_types.h: user and system time
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|cpuclockProf), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// awaitEnd reports whether the process ends by itself within d.
func (c *child) awaitEnd(d time.Duration) bool {
	for until := time.Now().Add(d); ; time.Sleep(time.Millisecond) {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, c.pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if err == nil && info.Signo != 0 {
			return true
		}
		if err != nil && !errors.Is(err, unix.EINTR) || time.Now().After(until) {
			return false
		}
	}
}

func isFault(s unix.Signal) bool {
	switch s {
	case unix.SIGSEGV, unix.SIGBUS, unix.SIGILL, unix.SIGFPE, unix.SIGTRAP:
		return true
	}
	return false
}

// outOfMemory reports whether a log begins like that of a Go program that gets no more memory. A
// hostile child can write that too, which changes only the words of the error.
func outOfMemory(log string) bool {
	first, _, _ := strings.Cut(log, "\n")
	return strings.HasPrefix(first, "fatal error: ") &&
		(strings.Contains(first, "out of memory") ||
			strings.Contains(first, "cannot allocate memory"))
}

// startTime bounds each step of a child's start, which takes a millisecond.
const startTime = 10 * time.Second

// await calls f until its error is not errTick, for startTime at most.
func (c *child) await(f func() error) error {
	for until := time.Now().Add(startTime); ; {
		err := f()
		if err != errTick {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("no answer within %v", startTime)
		}
	}
}

// carryOut sends a script to the child and waits for the results.
func (c *child) carryOut(s *script) error {
	c.put(abi.MsgSteps, uint32(s.Len()), s.Encode())
	if err := c.await(c.flush); err != nil {
		return c.failed(err)
	}
	return c.done(s)
}

// done waits for the results of a script.
func (c *child) done(s *script) error {
	h, payload, err := c.answer()
	if err != nil {
		return err
	}
	return c.judge(s, h, payload)
}

// judge keeps and judges the results of a script.
func (c *child) judge(s *script, h abi.Header, payload []byte) error {
	if h.Kind != abi.MsgStepsDone {
		return fmt.Errorf("message %d instead of results", h.Kind)
	}
	c.results = append(c.results[:0], payload...)
	return s.judge(payload)
}

// answer waits for a message.
func (c *child) answer() (h abi.Header, payload []byte, err error) {
	err = c.await(func() (err error) {
		h, payload, err = c.receive()
		return err
	})
	if err != nil {
		err = c.failed(err)
	}
	return h, payload, err
}

// failed returns an error of the channel during the start, or how the child ended if it did.
func (c *child) failed(err error) error {
	if err == errClosed {
		return c.death()
	}
	return err
}

// lastResult returns the result of the last step of the last script.
func (c *child) lastResult() uint64 {
	return binary.NativeEndian.Uint64(c.results[len(c.results)-8:])
}

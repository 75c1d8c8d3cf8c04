package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A mount whose source lies on FUSE is served by a child process, and the process that was started
// waits for it: the kernel does not let a process go, not even when it is killed, while one of its
// threads waits for the program behind such a file system. The child tells its exit status by a
// pipe before it tries to end, and the one that people and service managers wait for ends with
// that, whatever becomes of the child.

// behind is the variable that tells a process that it is such a child. Its value are the numbers of
// two descriptors.
const behind = "INSTARFS_BEHIND"

const (
	lifelineFD = 3 // reading ends when the front process is gone
	verdictFD  = 4 // takes the exit status, one byte
)

// lastMoment is how long the front process waits for the child to be gone after it told its status.
const lastMoment = time.Second

// statusError ends a command with the status of the process that did its work, and said why.
type statusError struct{ code int }

func (e statusError) Error() string { return "status " + strconv.Itoa(e.code) }

// isBehind reports whether this process is the child of a front process.
func isBehind() bool { return os.Getenv(behind) != "" }

// serveBehind runs this command line once more, in a child, and returns what came of it. Signals go
// on to the child.
func serveBehind(ctx context.Context, e *env) error {
	c, err := startBehind()
	if err != nil {
		return fmt.Errorf("mount: start a process to serve it: %w", err)
	}
	e.leave.do(c.signal)
	defer e.leave.do(nil)
	stop := context.AfterFunc(ctx, func() {
		var sig signalError
		if errors.As(context.Cause(ctx), &sig) {
			c.signal(sig.signal)
		}
	})
	defer stop()
	return c.status()
}

// behindProcess is the child, as the front process sees it.
type behindProcess struct {
	cmd      *exec.Cmd
	lifeline *os.File // writing end
	verdict  *os.File // reading end
	ended    chan error
}

func startBehind() (*behindProcess, error) {
	lifeRead, lifeWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer lifeRead.Close()
	verdictRead, verdictWrite, err := os.Pipe()
	if err != nil {
		lifeWrite.Close()
		return nil, err
	}
	defer verdictWrite.Close()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), behind+"="+strconv.Itoa(os.Getpid()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{lifeRead, verdictWrite}
	// A group of its own, so that Ctrl-C reaches it once, by the front process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		lifeWrite.Close()
		verdictRead.Close()
		return nil, err
	}
	c := &behindProcess{cmd: cmd, lifeline: lifeWrite, verdict: verdictRead, ended: make(chan error, 1)}
	go func() { c.ended <- cmd.Wait() }()
	return c, nil
}

// signal passes a signal on. The child may be gone already.
func (c *behindProcess) signal(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }

// status waits for the child's verdict, or for its end where it gives none.
func (c *behindProcess) status() error {
	defer c.lifeline.Close()
	defer c.verdict.Close()
	var code [1]byte
	if _, err := io.ReadFull(c.verdict, code[:]); err == nil {
		select {
		case <-c.ended:
		case <-time.After(lastMoment):
		}
		return fromStatus(int(code[0]))
	}
	err := <-c.ended
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			return fmt.Errorf("mount: the process that serves it was ended: %w", signalError{w.Signal()})
		}
		return fromStatus(exit.ExitCode())
	}
	return err
}

func fromStatus(code int) error {
	if code == 0 {
		return nil
	}
	return statusError{code}
}

// tellFront makes a child of a front process end as by SIGTERM when that one is gone, and returns
// how it tells it its status. Without a front process there is nobody to tell.
func tellFront() (tell func(code int)) {
	if !isBehind() {
		return func(int) {}
	}
	os.Unsetenv(behind)
	syscall.CloseOnExec(lifelineFD)
	syscall.CloseOnExec(verdictFD)
	lifeline, verdict := os.NewFile(lifelineFD, "lifeline"), os.NewFile(verdictFD, "verdict")
	go func() {
		_, _ = io.Copy(io.Discard, lifeline)
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}()
	var once sync.Once
	return func(code int) {
		once.Do(func() {
			_, _ = verdict.Write([]byte{byte(code)})
			letGo()
		})
	}
}

// letGo closes what others may wait for the end of: the pipes behind standard output and standard
// error stay open as long as a thread that is held.
func letGo() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	for fd := range 3 {
		_ = unix.Dup3(int(null.Fd()), fd, 0)
	}
}

package process

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

// behind is the environment variable that makes a process the child of a front process.
const behind = "INSTARFS_BEHIND"

const (
	lifelineFD = 3 // reading ends when the front process is gone
	verdictFD  = 4 // takes the exit status, one byte
)

// lastMoment is how long the front process waits for the child to end after it sent its status.
const lastMoment = time.Second

// StatusError ends a command with the status of the process that did its work, and that said why.
type StatusError struct{ Code int }

func (e StatusError) Error() string { return "status " + strconv.Itoa(e.Code) }

// ServeBehind runs this command line again, in a child, and returns the outcome: nil, a
// StatusError, or a SignalError. Signals are passed to the child; do is Leaving.Do.
//
// It is for a mount whose source lies on FUSE. The kernel does not let a process end, even if it
// was killed, while one of its threads waits for the program that serves such a file system. The
// child sends its exit status through a pipe before it tries to end, and this process, which people
// and service managers wait for, ends with that status whatever becomes of the child.
func ServeBehind(ctx context.Context, do func(last func(syscall.Signal))) error {
	c, err := startBehind()
	if err != nil {
		return fmt.Errorf("mount: start a process to serve it: %w", err)
	}
	do(c.signal)
	defer do(nil)
	stop := context.AfterFunc(ctx, func() {
		var sig SignalError
		if errors.As(context.Cause(ctx), &sig) {
			c.signal(sig.Signal)
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
	c := &behindProcess{
		cmd: cmd, lifeline: lifeWrite, verdict: verdictRead, ended: make(chan error, 1),
	}
	go func() { c.ended <- cmd.Wait() }()
	return c, nil
}

// signal passes a signal on. The child may be gone already.
func (c *behindProcess) signal(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }

// status waits for the child's status, or for its end if it sends none.
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
			return fmt.Errorf("mount: the process that serves it was ended: %w",
				SignalError{w.Signal()})
		}
		return fromStatus(exit.ExitCode())
	}
	return err
}

func fromStatus(code int) error {
	if code == 0 {
		return nil
	}
	return StatusError{code}
}

// tellFront makes a child of a front process end as by SIGTERM when that process is gone. It
// returns a function that sends the exit status to it. Without a front process, that does nothing.
func (l *Leaving) tellFront() (tell func(code int)) {
	if !l.behind {
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

// letGo closes the standard streams, whose end others may wait for: a thread that the kernel holds
// would keep them open.
func letGo() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	for fd := range 3 {
		_ = unix.Dup3(int(null.Fd()), fd, 0)
	}
}

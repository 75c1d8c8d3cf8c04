package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// detachedBy is the environment variable that makes a process the background of another.
const detachedBy = "INSTARFS_BACKGROUND"

// readyFD takes a byte when the process in the background is ready.
const readyFD = 3

// Background runs this command line again, in a process that outlives this one and its session. It
// returns nil when that calls Leaving.Ready, or the outcome if it ends before: a StatusError, of
// which it has said on standard error why. A context that ends, ends that process too.
func Background(ctx context.Context) error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start a process in the background: %w", err)
	}
	defer read.Close()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), detachedBy+"="+strconv.Itoa(os.Getpid()))
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	write.Close()
	if err != nil {
		return fmt.Errorf("start a process in the background: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	if _, err := io.ReadFull(read, make([]byte, 1)); err == nil {
		return nil
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &exit) && exit.Exited():
		return StatusError{exit.ExitCode()}
	case err == nil:
		return errors.New("the process in the background ended before it was ready")
	}
	return fmt.Errorf("the process in the background ended: %w", err)
}

// Detached reports whether this process is one that Background started.
func (l *Leaving) Detached() bool { return l.detached }

// Ready tells the process that called Background that this one is ready, and lets go of all that it
// has from that one. The result is where a log goes from then on, whose lines may begin with
// priorities as of sd-daemon(3).
func (l *Leaving) Ready() io.Writer {
	ready := os.NewFile(readyFD, "ready")
	log, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "instarfs")
	letGo()
	_ = os.Chdir("/")
	_, _ = ready.Write([]byte{0})
	ready.Close()
	if err != nil {
		return io.Discard
	}
	return systemLog{log}
}

// systemLog passes lines on to the log of the system, which names the program itself.
type systemLog struct{ to *syslog.Writer }

func (s systemLog) Write(lines []byte) (int, error) {
	for line := range strings.Lines(string(lines)) {
		line = strings.TrimSuffix(line, "\n")
		write := s.to.Info
		for prefix, w := range map[string]func(string) error{
			"<3>": s.to.Err, "<4>": s.to.Warning, "<6>": s.to.Info, "<7>": s.to.Debug,
		} {
			if text, ok := strings.CutPrefix(line, prefix); ok {
				line, write = text, w
				break
			}
		}
		_ = write(strings.TrimPrefix(line, "instarfs: "))
	}
	return len(lines), nil
}

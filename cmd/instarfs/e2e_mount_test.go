package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/show"
	"instarfs/needs"
)

// slowness is how many times slower than a usual computer this one is: INSTARFS_SLOW, which
// .ci/test sets where all is emulated. Waits depend on it, and never what is expected.
var slowness = func() time.Duration {
	n, err := strconv.Atoi(os.Getenv("INSTARFS_SLOW"))
	if err != nil || n < 1 {
		return 1
	}
	return time.Duration(n)
}()

// patience bounds every wait for something that must happen. It is long because it is only ever
// spent by a failure.
var patience = 60 * time.Second * slowness

// server is the real program, mounting, in a process of its own.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	source string // as it was given to the program
	dir    string // the mount point

	mu    sync.Mutex
	lines []string // of standard error, but not that the mount is ready

	ended chan struct{} // closed when the process is gone
}

// serve mounts a directory at a new place, and waits until the mount can be used.
func serve(t *testing.T, source string, options ...string) *server {
	t.Helper()
	return serveAt(t, source, t.TempDir(), options...)
}

func serveAt(t *testing.T, source, dir string, options ...string) *server {
	t.Helper()
	return serveBy(t,
		child(realChild, append(append([]string{"mount"}, options...), source, dir)...), source,
		dir)
}

// bound makes a command one of root without the capabilities to pass permissions.
func bound(cmd *exec.Cmd) *exec.Cmd {
	b := exec.Command("setpriv",
		append([]string{"--bounding-set=-dac_override,-dac_read_search"}, cmd.Args...)...)
	b.Env = cmd.Env
	return b
}

// serveBy is serve by a command that mounts source at dir.
func serveBy(t *testing.T, cmd *exec.Cmd, source, dir string) *server {
	t.Helper()
	needs.FUSE(t)
	s := &server{t: t, cmd: cmd, source: source, dir: dir, ended: make(chan struct{})}
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	ready := fmt.Sprintf("instarfs: mounted %s at %s; stop with Ctrl-C or: fusermount3 -u %s",
		show.Line(source), show.Line(dir), show.Line(dir))
	mounted := make(chan struct{})
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			if lines.Text() == ready {
				close(mounted)
				continue
			}
			s.mu.Lock()
			s.lines = append(s.lines, lines.Text())
			s.mu.Unlock()
		}
		_ = s.cmd.Wait()
	}()
	select {
	case <-mounted:
	case <-s.ended:
		t.Fatalf("mount %s: %q", source, s.log())
	}
	return s
}

// remove is the end of a test: the process ends well or is killed, and nothing stays mounted.
func (s *server) remove() {
	select {
	case <-s.ended:
	default:
		if code := s.end(syscall.SIGTERM); code != 0 {
			s.t.Errorf("the mount ends with status %d: %q", code, s.log())
		}
	}
	if err := unix.Unmount(s.dir, unix.MNT_DETACH); err == nil {
		s.t.Errorf("%s was still mounted", s.dir)
	}
}

// end sends a signal and returns the exit status.
func (s *server) end(signal syscall.Signal) int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Errorf("signal the mount: %v", err)
	}
	return s.status()
}

// status waits for the end of the process.
func (s *server) status() int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // it says what it is doing
		select {
		case <-s.ended:
		case <-time.After(patience / 10):
			_ = s.cmd.Process.Kill()
			<-s.ended
		}
		s.t.Errorf("the mount does not end: %s", strings.Join(s.log(), "\n"))
	}
	return s.cmd.ProcessState.ExitCode()
}

func (s *server) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// await waits for something to become true.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Error(err)
	}
	return string(b)
}

// bash runs a script with M, the mount, and S, the source, and the variables in env; the result is
// its standard output and its standard error, and a line about the exit status if it is not 0.
func (s *server) bash(script string, env ...string) string {
	s.t.Helper()
	return bash(s.t, script, append([]string{"M=" + s.dir, "S=" + s.source}, env...)...)
}

func bash(t *testing.T, script string, env ...string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		out = append(out, err.Error()+"\n"...)
	}
	return string(out)
}

// combined runs a program; the result is all that it printed.
func combined(args []string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return string(out), err
}

// command runs the real program to its end.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, talk bytes.Buffer
	cmd := child(realChild, args...)
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() {
		t.Errorf("instarfs %q does not end", args)
		_ = cmd.Process.Kill()
	})
	_ = cmd.Wait()
	timer.Stop()
	return out.String(), talk.String(), cmd.ProcessState.ExitCode()
}

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// forkServer is a program that starts once for many runs, see testdata/fork-server.c.
type forkServer struct {
	program, library string
	dir              string // for what the runs print

	mu       sync.Mutex
	cmd      *exec.Cmd // nil when it needs to be started
	requests io.WriteCloser
	statuses io.ReadCloser
}

// serverDir is where the library is, and what the runs print; empty if no server was asked for.
// TestMain removes it. The servers end with the test, whose requests they wait for.
var serverDir string

// serverLibrary is what makes a program a server.
var serverLibrary = sync.OnceValues(func() (library string, err error) {
	if serverDir, err = os.MkdirTemp("", "instarfs-fork-server"); err != nil {
		return "", err
	}
	library = filepath.Join(serverDir, "fork-server.so")
	cmd := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library,
		filepath.Join(testSources, "testdata/fork-server.c"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w: %s (install the package gcc)", cmd, err, out)
	}
	return library, nil
})

// testSources is the directory of this package: tests change theirs.
var testSources = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()

func newForkServer(program string) (*forkServer, error) {
	library, err := serverLibrary()
	if err != nil {
		return nil, err
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(serverDir, "output")
	if err != nil {
		return nil, err
	}
	return &forkServer{program: path, library: library, dir: dir}, nil
}

func (s *forkServer) start() (err error) {
	cmd := exec.Command(s.program, "fork-server")
	cmd.Args[0] = filepath.Base(s.program)
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+s.library)
	cmd.Stderr = os.Stderr
	if s.requests, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if s.statuses, err = cmd.StdoutPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	return nil
}

// stop ends the server, and a run that is under way with it.
func (s *forkServer) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// errTooLong is a run that did not end in time.
var errTooLong = errors.New("the run took too long")

// outcome is what a run printed, and how it ended.
type outcome struct {
	stdout, stderr string
	status         syscall.WaitStatus
}

// run carries out the program in a directory with the given words.
func (s *forkServer) run(dir string, words []string, limit time.Duration) (o outcome, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		if err := s.start(); err != nil {
			return o, err
		}
	}
	files := [2]string{filepath.Join(s.dir, "stdout"), filepath.Join(s.dir, "stderr")}
	body := strings.Join(append([]string{dir, files[0], files[1]}, words...), "\x00") + "\x00"
	request := append(binary.NativeEndian.AppendUint32(nil, uint32(len(body))), body...)
	if _, err := s.requests.Write(request); err != nil {
		return o, err
	}
	timer := time.AfterFunc(limit, func() { _ = s.cmd.Process.Kill() })
	var b [4]byte
	_, err = io.ReadFull(s.statuses, b[:])
	if !timer.Stop() {
		err = errTooLong
	}
	if err != nil {
		s.stop()
		return o, err
	}
	o.status = syscall.WaitStatus(binary.NativeEndian.Uint32(b[:]))
	stdout, err1 := os.ReadFile(files[0])
	stderr, err2 := os.ReadFile(files[1])
	o.stdout, o.stderr = string(stdout), string(stderr)
	return o, errors.Join(err1, err2)
}

// TestForkServer compares a few runs with those of the program itself.
func TestForkServer(t *testing.T) {
	o := newOracle(t)
	lines := [][]string{{"map", "a.raw"}, {"map", "none"}, {"--version"}, {"map", ""},
		{"map", "--output=json", "-s1", "a.raw"}}
	for _, r := range o.releases {
		for _, words := range lines {
			cmd := exec.Command(r.program, words...)
			var wantErr strings.Builder
			cmd.Dir, cmd.Stderr = o.dir, &wantErr
			want, err := cmd.Output()
			if err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Fatal(err)
			}
			got, err := r.server.run(o.dir, words, askTime)
			exit := cmd.ProcessState.ExitCode()
			if err != nil || got.stdout != string(want) || got.stderr != wantErr.String() ||
				got.status.ExitStatus() != exit {
				t.Errorf("%s %q: %+v, %v; want %q, %q, exit %d", r.version, words, got, err, want,
					wantErr.String(), exit)
			}
		}
	}
}

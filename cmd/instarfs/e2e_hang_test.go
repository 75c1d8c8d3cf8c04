package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hangingSource is a source with an image in it, and a directory that is a mount of another
// instarfs, which answers nothing once it was stopped.
func hangingSource(t *testing.T) (source string, stop, goOn func()) {
	t.Helper()
	source = smallSource(t)
	net := filepath.Join(source, "net")
	if err := os.Mkdir(net, 0o755); err != nil {
		t.Fatal(err)
	}
	below := smallSource(t)
	for i := range 40 {
		writeAt(t, filepath.Join(below, strconv.Itoa(i)+".raw"), map[int64]string{0: "x"})
	}
	server := serveBy(t, child(walkedChild, "mount", below, net), below, net)
	send := func(s syscall.Signal) func() {
		return func() {
			if err := server.cmd.Process.Signal(s); err != nil {
				t.Error(err)
			}
		}
	}
	goOn = send(syscall.SIGCONT)
	t.Cleanup(goOn)
	return source, send(syscall.SIGSTOP), goOn
}

// endOf runs a command that must end, and returns what it printed.
func endOf(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if ctx.Err() != nil {
		t.Errorf("%s %q does not end: %v", name, args, err)
	}
	return string(out)
}

// TestSourceThatHangs: a part of the source that does not answer takes nothing from the rest, and
// does not keep the mount. What waits for that part waits for an hour: longer than this test.
func TestSourceThatHangs(t *testing.T) {
	source, stop, goOn := hangingSource(t)
	dir := t.TempDir()
	s := serveBy(t, child(walkedChild, "mount", "--call-time", "1h", source, dir), source, dir)
	want := s.read("a.qcow2.map.json")
	if got := s.read("net/0.raw.map.txt.map.json"); got == "" {
		t.Error("the other file system has no images")
	}
	stop()
	// More than may be under way, of every kind: each reader is killed, and what it asked stays in
	// the kernel.
	var readers []*exec.Cmd
	for i := range 40 {
		file := s.path("net/" + strconv.Itoa(i) + ".raw.map.json")
		for _, args := range [][]string{{"cat", file + ".map.json"}, {"stat", file + ".map.txt"},
			{"ls", s.path("net")}} {
			cmd := exec.Command(args[0], args[1:]...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			readers = append(readers, cmd)
		}
	}
	time.Sleep(time.Second)
	if got := endOf(t, "cat", s.path("a.qcow2.map.json")); got != want {
		t.Errorf("the image beside it: %.200q", got)
	}
	writeAt(t, filepath.Join(source, "new.qcow2"), map[int64]string{0: string(variant(2))})
	if got := endOf(t, "cat", s.path("new.qcow2.map.json")); !strings.HasPrefix(got, "[{") {
		t.Errorf("a new image beside it: %.200q", got)
	}
	endOf(t, "ls", dir)
	for _, cmd := range readers {
		_ = cmd.Process.Kill()
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Errorf("%q was killed, and does not end", cmd.Args)
		}
	}
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("status %d: %q", code, s.log())
	}
	if isMounted(t, dir) {
		t.Error("it is still mounted")
	}
	goOn()
}

// TestCallTime: who waits for a file system that does not answer is told so in time, and the next
// one at once.
func TestCallTime(t *testing.T) {
	source, stop, goOn := hangingSource(t)
	dir := t.TempDir()
	const callTime = 300 * time.Millisecond
	s := serveBy(t, child(walkedChild, "mount", "--call-time", callTime.String(), source, dir),
		source, dir)
	stop()
	ask := func(i int) error {
		_, err := os.Stat(s.path("net/" + strconv.Itoa(i) + ".raw.map.json.map.json"))
		return err
	}
	begin := time.Now()
	if err := ask(0); !errors.Is(err, syscall.ETIMEDOUT) || time.Since(begin) < callTime/2 {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if err := ask(i); !errors.Is(err, syscall.ETIMEDOUT) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	// Now every call that may be under way hangs.
	begin = time.Now()
	for i := range 20 {
		if err := ask(i); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Error(err)
		}
	}
	if took := time.Since(begin); took > 10*callTime {
		// half of what it takes if each of them waits
		t.Errorf("twenty more took %v", took)
	}
	goOn()
	await(t, "the file system is back", func() bool { return ask(1) == nil })
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("status %d: %q", code, s.log())
	}
}

// TestFrontProcess: who waits for a mount whose source is served by a program is told what the
// process behind it did.
func TestFrontProcess(t *testing.T) {
	source, _, _ := hangingSource(t)
	start := func() (*server, string) {
		dir := t.TempDir()
		return serveBy(t, child(walkedChild, "mount", source, dir), source, dir), dir
	}
	s, dir := start()
	if code := s.end(syscall.SIGINT); code != 0 || isMounted(t, dir) {
		t.Errorf("status %d, mounted %v: %q", code, isMounted(t, dir), s.log())
	}
	s, dir = start()
	if code := s.end(syscall.SIGKILL); code != -1 {
		t.Errorf("status %d after SIGKILL", code)
	}
	await(t, "the mount of a process that was killed is gone",
		func() bool { return !isMounted(t, dir) })
	out, err := child(walkedChild, "mount", source, filepath.Join(source, "net")).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 ||
		!strings.HasPrefix(string(out), "instarfs: mount") ||
		strings.Count(string(out), "\n") != 1 {
		t.Errorf("a mount that fails: %v, %q", err, out)
	}
}

package fusefs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/fusefs/view"
	"instarfs/needs"
)

// giveUp is how long tests wait for what must happen. It only bounds how long a test that fails
// takes: no test passes or fails by the speed of a machine.
const giveUp = time.Minute

// eventually waits until a condition holds, and reports whether it does.
func eventually(holds func() bool) bool {
	for end := time.Now().Add(giveUp); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// waitRuns waits until a source has begun so many runs.
func waitRuns(t *testing.T, src *fakeSource, n int64) {
	t.Helper()
	if !eventually(func() bool { return src.runs.Load() >= n }) {
		t.Fatalf("%d runs, want %d", src.runs.Load(), n)
	}
}

// waitEnd waits for a program that was started.
func waitEnd(t *testing.T, cmd *exec.Cmd) error {
	t.Helper()
	end := make(chan error, 1)
	go func() { end <- cmd.Wait() }()
	select {
	case err := <-end:
		return err
	case <-time.After(giveUp):
		t.Fatalf("%v does not end", cmd.Args)
		return nil
	}
}

// testMount is a mount of a fake source, and the log that it wrote.
type testMount struct {
	t       testing.TB
	dir     string
	src     *fakeSource
	mounted *Mounted
	stop    context.CancelFunc
	ended   chan error

	mu  sync.Mutex
	log []string
}

// mountFake mounts src for the duration of the test; change may alter the options.
func mountFake(t testing.TB, src *fakeSource, change func(*Options)) *testMount {
	t.Helper()
	needs.FUSE(t)
	m := &testMount{t: t, dir: t.TempDir(), src: src, ended: make(chan error, 1)}
	o := Options{Source: src, SourceDir: src.root, Mountpoint: m.dir, Render: fakeRender,
		Log: m.write}
	if change != nil {
		change(&o)
	}
	var err error
	if m.mounted, err = Mount(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	go func() {
		err := m.mounted.Serve(ctx)
		m.ended <- err
		close(m.ended)
	}()
	t.Cleanup(func() {
		if err := m.unmount(); err != nil {
			t.Error(err)
		}
		if err := unix.Unmount(m.dir, unix.MNT_DETACH); err == nil {
			t.Errorf("%s was still mounted", m.dir)
		}
	})
	return m
}

// unmount ends the mount and returns what Serve did.
func (m *testMount) unmount() error {
	m.stop()
	select {
	case err := <-m.ended:
		return err
	case <-time.After(giveUp):
		m.t.Error("Serve does not return")
		return nil
	}
}

func (m *testMount) write(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log = append(m.log, line)
}

// logged counts the lines of the log that contain text.
func (m *testMount) logged(text string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, line := range m.log {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// waitLogged waits until the log, which is written behind the requests, has a line with text.
func (m *testMount) waitLogged(text string) {
	m.t.Helper()
	if !eventually(func() bool { return m.logged(text) > 0 }) {
		m.t.Errorf("no log line with %q in %q", text, m.log)
	}
}

func (m *testMount) path(name string) string { return filepath.Join(m.dir, name) }

// names lists a directory.
func (m *testMount) names(dir string) string {
	m.t.Helper()
	return strings.TrimSpace(command(m.t, "ls", "-A", m.path(dir)))
}

// viewsOf returns what names shows of a directory that holds one image.
func viewsOf(image string) string {
	var names []string
	for _, v := range view.Listed {
		names = append(names, image+v.String())
	}
	slices.Sort(names)
	return strings.Join(names, "\n")
}

// read is what a file holds. It goes through another process, as every access to the mount does: in
// this one, the collector might stop the server while a page fault waits for it.
func (m *testMount) read(name string) string {
	m.t.Helper()
	return command(m.t, "cat", m.path(name))
}

// command runs a program and returns its standard output.
func command(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := tryCommand(t, program, args...)
	if err != nil {
		t.Errorf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	return out
}

func tryCommand(t testing.TB, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil && stderr.Len() > 0 {
		return stdout.String(), &commandError{err, strings.TrimSpace(stderr.String())}
	}
	return stdout.String(), err
}

// commandError is a failed program and what it said.
type commandError struct {
	err    error
	stderr string
}

func (e *commandError) Error() string { return e.err.Error() + ": " + e.stderr }

package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallSource is a directory with one image.
func smallSource(t *testing.T) string {
	t.Helper()
	source := t.TempDir()
	writeAt(t, filepath.Join(source, "a.qcow2"), map[int64]string{0: string(variant(1))})
	return source
}

// isMounted reports whether something is mounted at a directory: its device is not that of its
// parent.
func isMounted(t *testing.T, dir string) bool {
	t.Helper()
	var here, above unix.Stat_t
	if err := unix.Stat(dir, &here); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(filepath.Dir(dir), &above); err != nil {
		t.Fatal(err)
	}
	return here.Dev != above.Dev
}

// The first signal unmounts and so does whoever unmounts from outside, both with status 0 and
// without a word.
func TestMountEnds(t *testing.T) {
	source := smallSource(t)
	for what, end := range map[string]func(*server) int{
		"SIGINT":  func(s *server) int { return s.end(syscall.SIGINT) },
		"SIGTERM": func(s *server) int { return s.end(syscall.SIGTERM) },
		"SIGHUP":  func(s *server) int { return s.end(syscall.SIGHUP) },
		"SIGTERM, SIGHUP": func(
			s *server) int {
			s.kill(syscall.SIGTERM)
			return s.end(syscall.SIGHUP)
		},
		"SIGHUP, SIGTERM": func(
			s *server) int {
			s.kill(syscall.SIGHUP)
			return s.end(syscall.SIGTERM)
		},
		"umount":          func(s *server) int { s.expect("umount $M"); return s.status() },
		"fusermount3 -u":  func(s *server) int { s.expect("fusermount3 -u $M"); return s.status() },
		"umount, unused":  func(s *server) int { s.expect("umount $M"); return s.status() },
		"SIGTERM, unused": func(s *server) int { return s.end(syscall.SIGTERM) },
	} {
		s := serve(t, source)
		if !strings.HasSuffix(what, "unused") {
			s.read("a.qcow2.map.json")
		}
		if !isMounted(t, s.dir) {
			t.Errorf("%s: nothing is mounted", what)
		}
		if code := end(s); code != 0 || len(s.log()) != 0 || isMounted(t, s.dir) {
			t.Errorf("%s: status %d, still mounted: %v, log %q", what, code, isMounted(t, s.dir),
				s.log())
		}
	}
}

// expect runs a script that has nothing to say.
func (s *server) expect(script string) {
	s.t.Helper()
	if out := s.bash(script); out != "" {
		s.t.Errorf("%s: %s", script, out)
	}
}

// holder is a process that has a file open until it is let go, and reads it then.
type holder struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	said *bufio.Reader
}

func (s *server) hold(name string) *holder {
	s.t.Helper()
	h := &holder{cmd: exec.Command("bash", "-c", `exec 3<"$0"; echo open; read -r go; cat <&3`,
		s.path(name))}
	in, inErr := h.cmd.StdinPipe()
	out, outErr := h.cmd.StdoutPipe()
	if inErr != nil || outErr != nil {
		s.t.Fatal(inErr, outErr)
	}
	h.in, h.said = in, bufio.NewReader(out)
	if err := h.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { in.Close(); _ = h.cmd.Wait() })
	if line, err := h.said.ReadString('\n'); line != "open\n" {
		s.t.Fatalf("%q, %v", line, err)
	}
	return h
}

// letGo returns what the holder still reads.
func (h *holder) letGo() string {
	_, _ = io.WriteString(h.in, "go\n")
	rest, _ := io.ReadAll(h.said)
	return string(rest)
}

// A busy mount vanishes at once, serves what is open, and ends with the last close.
func TestMountEndsWhileBusy(t *testing.T) {
	s := serve(t, smallSource(t))
	want := s.read("a.qcow2.map.json")
	h := s.hold("a.qcow2.map.json")
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "the mount says what it waits for", func() bool { return len(s.log()) > 0 })
	if line := s.log()[0]; !strings.HasPrefix(line, "instarfs: unmount "+s.dir+": ") ||
		!strings.Contains(line, "waiting up to 10s for the last close") {
		t.Errorf("it says %q", line)
	}
	if isMounted(t, s.dir) {
		t.Error("a detached mount is still there")
	}
	if got := h.letGo(); got != want {
		t.Errorf("the open file reads %.200q, want %.200q", got, want)
	}
	if code := s.status(); code != 0 || len(s.log()) != 2 ||
		!strings.Contains(s.log()[1], "the mount is gone") {
		t.Errorf("status %d, log %q", code, s.log())
	}
}

// A second signal does not wait for anybody.
func TestMountSecondSignal(t *testing.T) {
	for signal, status := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		s := serve(t, smallSource(t))
		s.hold("a.qcow2.map.txt")
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		await(t, "the mount says what it waits for", func() bool { return len(s.log()) > 0 })
		if code := s.end(signal); code != status || isMounted(t, s.dir) {
			t.Errorf("status %d, want %d; still mounted: %v", code, status, isMounted(t, s.dir))
		}
	}
}

// A server that is killed leaves a dead mount, which the next one at that place clears away.
func TestMountAfterKill(t *testing.T) {
	source := smallSource(t)
	s := serve(t, source)
	want := s.read("a.qcow2.map.json")
	s.expect("stat $M >/dev/null") // which the kernel now believes for a second
	s.end(syscall.SIGKILL)
	next := serveAt(t, source, s.dir)
	if got := next.read("a.qcow2.map.json"); got != want {
		t.Errorf("after a kill: %.200q, want %.200q", got, want)
	}
	await(t, "the log tells of the dead mount", func() bool { return len(next.log()) > 0 })
	if want := "instarfs: mount at " + s.dir + ": removed a dead mount of " +
		source; next.log()[0] != want {
		t.Errorf("log %q, want %q", next.log(), want)
	}
}

// What cannot be mounted ends the program with status 1 and one line that names both places, and
// leaves nothing mounted.
func TestMountRefusals(t *testing.T) {
	source, point := smallSource(t), t.TempDir()
	inner, outer := filepath.Join(source, "inner"), filepath.Join(point, "outer")
	closed, unreachable := filepath.Join(point, "closed"), filepath.Join(point, "closed", "point")
	for _, dir := range []string{inner, outer, unreachable} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(closed, 0o755)
	busy := serve(t, source)
	for _, tc := range []struct{ source, point, want string }{
		{source, source, "mount " + source + " at " + source +
			": the mount point is inside the source; choose one outside"},
		{source, inner, "mount " + source + " at " + inner +
			": the mount point is inside the source; choose one outside"},
		{outer, point, "mount " + outer + " at " + point +
			": the source is inside the mount point; choose one outside"},
		{source, busy.dir, "mount at " + busy.dir + ": " + source +
			" (type fuse.instarfs) is mounted there already; unmount it or choose a directory " +
			"below it"},
		{source + "/none", point, "open directory " + source + "/none: no such file or directory"},
		{source + "/a.qcow2", point, "open directory " + source + "/a.qcow2: not a directory"},
		{source, point + "/none", "mount at " + point + "/none: no such file or directory"},
		{source, source + "/a.qcow2", "mount at " + source + "/a.qcow2: it is not a directory"},
		{source, unreachable, "mount at " + unreachable + ": permission denied"},
		{closed, outer, "open directory " + closed + ": permission denied"},
	} {
		cmd := bound(child(realChild, "mount", tc.source, tc.point))
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatalf("%v (install the package util-linux)", err)
		}
		if code := cmd.ProcessState.ExitCode(); code != 1 || string(out) != "instarfs: "+tc.want+
			"\n" {
			t.Errorf("mount %s %s: status %d, says %q, want %q", tc.source, tc.point, code, out,
				tc.want)
		}
	}
	if busy.read("a.qcow2.map.json") == "" || isMounted(t, point) {
		t.Error("a refusal left something behind")
	}
}

// kill sends a signal. A process that has ended by one sent before does not matter.
func (s *server) kill(signal syscall.Signal) { _ = s.cmd.Process.Signal(signal) }

// SIGQUIT and SIGABRT print what the program does, and leave no mount behind, busy or not.
func TestMountDumps(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT} {
		for _, busy := range []bool{false, true} {
			s := serve(t, smallSource(t))
			if busy {
				s.hold("a.qcow2.map.txt")
			}
			code := s.end(signal)
			said := strings.Join(s.log(), "\n")
			if code != 2 || isMounted(t, s.dir) || !strings.Contains(said, "goroutine ") ||
				!strings.Contains(said, "fusefs.") {
				t.Errorf("%v, busy %v: status %d, still mounted: %v, said %.200q", signal, busy,
					code, isMounted(t, s.dir), said)
			}
		}
	}
}

// nohup(1) has a program ignore SIGHUP.
func TestMountIgnoresHangupUnderNohup(t *testing.T) {
	source, dir := smallSource(t), t.TempDir()
	cmd := child(realChild, "mount", source, dir)
	cmd.Args = append([]string{"env", "--ignore-signal=HUP", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/usr/bin/env"
	s := serveBy(t, cmd, source, dir)
	s.kill(syscall.SIGHUP)
	if s.read("a.qcow2.map.json") == "" || !isMounted(t, dir) {
		t.Error("SIGHUP ends a mount that ignores it")
	}
}

// Over a mount whose server is stopped, below it and of it, mount fails soon and with one line.
func TestMountOverStoppedServer(t *testing.T) {
	source := smallSource(t)
	s := serve(t, source)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.dir, link); err != nil {
		t.Fatal(err)
	}
	s.kill(syscall.SIGSTOP)
	defer s.kill(syscall.SIGCONT)
	free := t.TempDir()
	var all sync.WaitGroup
	for _, args := range [][]string{{source, s.dir}, {source, link}, {source, s.dir + "/below"},
		{s.dir, free}, {"--allow-dir", s.dir, source, free}} {
		all.Go(func() {
			cmd := child(realChild, append([]string{"mount"}, args...)...)
			start := time.Now()
			out, _ := cmd.CombinedOutput()
			said, took := string(out), time.Since(start)
			if cmd.ProcessState.ExitCode() != 1 || took > patience ||
				strings.Count(said, "\n") != 1 || !strings.Contains(said, "does not answer") {
				t.Errorf("mount %q: %v after %v, says %s", args, cmd.ProcessState, took, said)
			}
		})
	}
	all.Wait()
	s.kill(syscall.SIGCONT)
	if s.read("a.qcow2.map.json") == "" {
		t.Error("the server does not go on")
	}
}

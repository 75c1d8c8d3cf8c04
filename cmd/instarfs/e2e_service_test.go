package main

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"instarfs/needs"
)

// TestServiceManager: a mount tells its service manager when it is ready, that it is well, and when
// it ends, and writes for journald.
func TestServiceManager(t *testing.T) {
	dir, source, point := t.TempDir(), smallSource(t), t.TempDir()
	address := &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	told := func(want string) {
		t.Helper()
		b := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		n, err := conn.Read(b)
		if got := string(b[:n]); err != nil || got != want {
			t.Errorf("told %q, %v, want %q", got, err, want)
		}
	}
	cmd := child(realChild, "mount", source, point)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	cmd.Stderr = log
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+address.Name, "WATCHDOG_USEC=40000000",
		"JOURNAL_STREAM="+journalStream(st))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told("READY=1\nSTATUS=mounted " + source + " at " + point)
	told("WATCHDOG=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	told("STOPPING=1\nSTATUS=unmounting " + point)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(log.Name())
	if want := "<6>instarfs: mounted " + source; err != nil || !strings.HasPrefix(string(b), want) {
		t.Errorf("log %q, %v", b, err)
	}
}

// TestLogFormat: the log of a mount can be JSON, all of it, also when it fails.
func TestLogFormat(t *testing.T) {
	_, stderr, code := command(t, "mount", "--log-format=json", "/nowhere", t.TempDir())
	var line struct{ Level, Msg string }
	if err := json.Unmarshal([]byte(stderr), &line); err != nil || code != 1 ||
		line.Level != "ERROR" || !strings.Contains(line.Msg, "/nowhere") {
		t.Errorf("status %d, %s, %v", code, stderr, err)
	}
	if _, stderr, code := command(t, "mount", "--log-level=loud", "a", "b"); code != 2 ||
		!strings.Contains(stderr, "must be debug, info, warn or error") {
		t.Errorf("status %d, %s", code, stderr)
	}
}

// TestUnitFiles: systemd accepts the units that this program comes with.
func TestUnitFiles(t *testing.T) {
	dir := t.TempDir()
	units, err := filepath.Glob("../../dist/systemd/*")
	if err != nil || len(units) < 2 {
		t.Fatal(units, err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		b, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Replace(filepath.Base(unit), "@.", "@images.", 1)
		text := strings.ReplaceAll(string(b), "/usr/local/bin/instarfs", program)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
			filepath.Join(dir, name)).CombinedOutput()
		if err != nil || len(out) != 0 {
			t.Errorf("%s: %s%v", name, out, err)
		}
	}
}

// journalStream is a file in the words of JOURNAL_STREAM.
func journalStream(st *syscall.Stat_t) string {
	return strconv.FormatUint(st.Dev, 10) + ":" + strconv.FormatUint(st.Ino, 10)
}

// TestServiceRights: a mount with no other capabilities than those of its unit lets each user read
// what he may, and ends well. What else the unit takes is for systemd itself to enforce.
func TestServiceRights(t *testing.T) {
	needs.Root(t)
	unit, err := os.ReadFile("../../dist/systemd/instarfs@.service")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(unit), "\nCapabilityBoundingSet=")
	line, _, ok := strings.Cut(rest, "\n")
	if !ok || line == "" {
		t.Fatal("the unit has no CapabilityBoundingSet")
	}
	left := "-all"
	for _, name := range strings.Fields(line) {
		left += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
	}
	source, dir := smallSource(t), t.TempDir()
	openTo(t, source)
	openTo(t, dir)
	if err := os.Chown(filepath.Join(source, "a.qcow2"), ann, ann); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(source, "a.qcow2"), 0o600); err != nil {
		t.Fatal(err)
	}
	mount := child(realChild, "mount", "--allow-other", source, dir)
	args := append([]string{"--bounding-set", left, "--inh-caps", "-all"}, mount.Args...)
	bounded := exec.Command("setpriv", args...)
	bounded.Env = mount.Env
	s := serveBy(t, bounded, source, dir)
	for who, may := range map[int]bool{ann: true, bob: false} {
		_, err := as(who, "cat", s.path("a.qcow2.map.json")).Output()
		if (err == nil) != may {
			t.Errorf("%d reads the map: %v", who, err)
		}
	}
	if code := s.end(syscall.SIGTERM); code != 0 || isMounted(t, dir) {
		t.Errorf("status %d, still mounted: %v: %q", code, isMounted(t, dir), s.log())
	}
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// mount is a running `instarfs mount`.
type mount struct {
	cmd   *exec.Cmd
	point string
	log   string // name of the file that holds standard error
	// server is the ID of the process that serves the mount: a child of cmd if the source holds
	// another FUSE mount.
	server int
	ended  chan error
}

const mountTime = 20 * time.Second

// mountAt mounts source at point for all users, and waits until that is done.
func mountAt(binary, source, point string) (*mount, error) {
	m := &mount{point: point, log: point + ".log", ended: make(chan error, 1)}
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// A small cache, so that maps leave it.
	m.cmd = exec.Command(binary, "mount", "--allow-other", "--cache-bytes=32M", source, point)
	m.cmd.Stderr = log
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { m.ended <- m.cmd.Wait() }()
	for deadline := time.Now().Add(mountTime); time.Now().Before(deadline); {
		if isMounted(point) {
			m.server = serverOf(m.cmd.Process.Pid)
			return m, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	m.end()
	text, _ := os.ReadFile(m.log)
	return nil, fmt.Errorf("mount %s: not mounted after %v: %s", source, mountTime, text)
}

// isMounted reports whether a directory is on another device than its parent.
func isMounted(dir string) bool {
	var here, above syscall.Stat_t
	return syscall.Stat(dir, &here) == nil && syscall.Stat(filepath.Dir(dir), &above) == nil &&
		here.Dev != above.Dev
}

// serverOf returns the only child of a process, whichever of its threads started it, or the process
// itself.
func serverOf(pid int) int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		if child, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			return child
		}
	}
	return pid
}

// signal sends a signal to the process that serves the mount.
func (m *mount) signal(s syscall.Signal) error { return syscall.Kill(m.server, s) }

// end unmounts, by force if need be.
func (m *mount) end() {
	_ = m.signal(syscall.SIGCONT)
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
	case <-time.After(mountTime):
		_ = m.cmd.Process.Kill()
		_ = syscall.Kill(m.server, syscall.SIGKILL)
	}
	_ = syscall.Unmount(m.point, syscall.MNT_DETACH)
}

// quit ends the mount with a dump of its goroutines, and returns its log.
func (m *mount) quit() (log string, err error) {
	if err := m.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return "", err
	}
	select {
	case <-m.ended:
	case <-time.After(mountTime):
		return "", fmt.Errorf("the mount did not end within %v of SIGQUIT", mountTime)
	}
	// The process that serves it may be a child, which ends by itself.
	for deadline := time.Now().Add(mountTime); syscall.Kill(m.server, 0) == nil; {
		if time.Now().After(deadline) {
			return "", fmt.Errorf("process %d is still there %v after SIGQUIT", m.server, mountTime)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if isMounted(m.point) {
		return "", fmt.Errorf("the mount has ended, and is still mounted")
	}
	b, err := os.ReadFile(m.log)
	return string(b), err
}

var goroutine = regexp.MustCompile(`(?m)^goroutine \d+ .*\[`)

// moreGoroutines is how many more goroutines a mount at rest may have than another: go-fuse
// keeps readers of requests, and each machine has a few.
const moreGoroutines = 24

// complaints finds what must not be in the log of a mount that ended with a dump of its
// goroutines. fresh is the number of goroutines of a mount that has done nothing yet.
func complaints(log string, fresh int) (faults []string) {
	said, _, _ := strings.Cut(log, "SIGQUIT")
	panics := 0
	for line := range strings.Lines(said) {
		if strings.Contains(line, "panic") || strings.Contains(line, "a bug of instarfs") {
			if panics++; panics == 1 {
				faults = append(faults, "a panic: "+strings.TrimSpace(line))
			}
		}
	}
	if n := len(goroutine.FindAllString(log, -1)); n == 0 || n > fresh+moreGoroutines {
		faults = append(faults, fmt.Sprintf("%d goroutines at the end, of a fresh mount %d", n,
			fresh))
	}
	return faults
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// command runs a program, discards its output, and returns how long it took, from before the
// start to the end.
func command(args ...string) (time.Duration, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return 0, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	start := time.Now()
	p, err := os.StartProcess(path, args, &os.ProcAttr{Files: []*os.File{null, null, os.Stderr}})
	if err != nil {
		return 0, err
	}
	state, err := p.Wait()
	d := time.Since(start)
	if err != nil {
		return 0, err
	}
	if !state.Success() {
		return 0, fmt.Errorf("%s: %s", strings.Join(args, " "), state)
	}
	return d, nil
}

// times are the durations of one thing that was done many times.
type times []time.Duration

// add measures a command once more.
func (t *times) add(args ...string) error {
	d, err := command(args...)
	*t = append(*t, d)
	return err
}

// read measures reading a whole file in this process.
func (t *times) read(name string) error {
	start := time.Now()
	_, err := os.ReadFile(name)
	*t = append(*t, time.Since(start))
	return err
}

func (t times) median() time.Duration {
	s := slices.Sorted(slices.Values(t))
	return s[len(s)/2]
}

func (t times) String() string {
	if len(t) == 1 {
		return short(t[0])
	}
	s := slices.Sorted(slices.Values(t))
	return fmt.Sprintf("%s (%s to %s)", short(t.median()), short(s[0]), short(s[len(s)-1]))
}

// short formats a duration with about three digits.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// mount is a running `instarfs mount`.
type mount struct {
	cmd   *exec.Cmd
	point string
	log   bytes.Buffer
}

// carriers are the values of --isolation that are measured: kvm only where there is KVM.
func carriers() []string {
	if _, err := os.Stat("/dev/kvm"); err != nil {
		return []string{"process"}
	}
	return []string{"kvm", "process"}
}

// mapArgs is the command line of a map by the program.
func (b *bench) mapArgs(image string) []string {
	return []string{b.binary, "map", "--isolation", b.carrier, "--output=json", image}
}

// mountAt mounts source and waits until the map guest has started once, so that the mount is
// warm.
func (b *bench) mountAt(source string, options ...string) (*mount, error) {
	m := &mount{point: filepath.Join(b.work, "mnt")}
	if err := os.MkdirAll(m.point, 0o755); err != nil {
		return nil, err
	}
	args := append([]string{"mount", "--isolation", b.carrier}, options...)
	m.cmd = exec.Command(b.binary, append(args, source, m.point)...)
	m.cmd.Stderr = &m.log
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	for range 100 {
		var st unix.Statfs_t
		if unix.Statfs(m.point, &st) == nil && st.Type == unix.FUSE_SUPER_MAGIC {
			time.Sleep(500 * time.Millisecond)
			return m, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.cmd.Process.Kill()
	m.cmd.Wait()
	return nil, fmt.Errorf("no mount after 5 s: %s", m.log.String())
}

func (m *mount) end() error {
	m.cmd.Process.Signal(unix.SIGINT)
	if err := m.cmd.Wait(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, m.log.String())
	}
	return nil
}

// memory returns a line of /proc/PID/status of the mount, bytes.
func (m *mount) memory(line string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(b)) {
		var kb int64
		if n, _ := fmt.Sscanf(l, line+": %d kB", &kb); n == 1 {
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("no %s of process %d", line, m.cmd.Process.Pid)
}

// resident returns the memory of the mount's process in bytes, after a time for the garbage
// collector.
func (m *mount) resident() (int64, error) {
	time.Sleep(time.Second)
	return m.memory("RssAnon")
}

// steps returns the first error.
func steps(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

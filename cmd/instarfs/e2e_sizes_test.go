package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/needs"
)

// TestSizesStayWithReaders: the kernel knows the sizes of maps that root reads. A user who may not
// read a map does not get its size from there: not by stat(2), not without the mount being asked
// (AT_STATX_DONT_SYNC), and not by a descriptor from before root came.
func TestSizesStayWithReaders(t *testing.T) {
	needs.Qemu(t)
	for _, options := range [][]string{nil, {"--cache-bytes=1"}} {
		source, dir := rightsTree(t), t.TempDir()
		openTo(t, dir)
		args := append(append([]string{"mount", "--allow-other"}, options...), source, dir)
		s := serveBy(t, child(walkedChild, args...), source, dir)
		// Before anybody asked for them: a base in bob's directory that is there, and one that is
		// not.
		for _, image := range []string{"root/hidden.qcow2", "root/lost.qcow2"} {
			out, _ := as(ann, "stat", "-c%s", s.path(image+".map.json")).CombinedOutput()
			if string(out) != "0\n" {
				t.Errorf("%q, %s: %q", options, image, out)
			}
		}
		for _, image := range []string{"root/over.qcow2", "root/base.qcow2", "list/l.qcow2"} {
			file := s.path(image + ".map.json")
			before := holdPath(t, file)
			size := len(s.read(image + ".map.json"))
			for _, cached := range []string{"always", "never"} {
				if n := sizeTold(as(ann, "stat", "-L", "--cached="+cached, "-c%s", file)); n > 0 {
					t.Errorf("%q, %s, of %d bytes: stat --cached=%s says %d", options, image, size,
						cached, n)
				}
				s.read(image + ".map.json")
				s.bash("stat $M/" + image + ".map.json >/dev/null")
			}
			s.bash(fmt.Sprintf("stat -L /proc/%d/fd/%d >/dev/null", before.cmd.Process.Pid,
				before.fd))
			if n := before.told(t); n > 0 {
				t.Errorf("%q, %s, of %d bytes: a descriptor says %d", options, image, size, n)
			}
		}
		if code := s.end(syscall.SIGTERM); code != 0 {
			t.Errorf("status %d: %q", code, s.log())
		}
	}
}

// sizeTold is the size that a command prints, 0 if none.
func sizeTold(cmd *exec.Cmd) (n int) {
	out, _ := cmd.Output()
	_, _ = fmt.Sscan(string(out), &n)
	return n
}

// pathHolder is a process of ann's that has a file open with O_PATH: which reads nothing, and asks
// for no attributes.
type pathHolder struct {
	cmd *exec.Cmd
	fd  int
	in  io.Closer
	out *bufio.Reader
}

// holdingChild tells the test binary to be such a process.
const holdingChild = "holding"

// holdPathAndTell is all that it does: it names its descriptor, waits, and says what size the
// kernel knows.
func holdPathAndTell(file string) error {
	fd, err := unix.Open(file, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	fmt.Println(fd)
	_, _ = io.Copy(io.Discard, os.Stdin)
	var st unix.Statx_t
	const flags = unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC
	err = unix.Statx(fd, "", flags, unix.STATX_BASIC_STATS, &st)
	fmt.Println(st.Size)
	return err
}

func holdPath(t *testing.T, file string) *pathHolder {
	t.Helper()
	cmd := child(holdingChild, file)
	cmd.Path = "/proc/self/exe" // whoever may not reach the file itself can start it so
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ann, Gid: ann}}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &pathHolder{cmd: cmd, in: in, out: bufio.NewReader(out)}
	if _, err := fmt.Fscan(h.out, &h.fd); err != nil {
		t.Fatalf("hold %s: %v", file, err)
	}
	return h
}

// told is the size that the holder is told now, without the mount being asked.
func (h *pathHolder) told(t *testing.T) (n int) {
	t.Helper()
	h.in.Close()
	if _, err := fmt.Fscan(h.out, &n); err != nil {
		t.Error(err)
	}
	if err := h.cmd.Wait(); err != nil {
		t.Error(err)
	}
	return n
}

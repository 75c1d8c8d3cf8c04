package fusefs

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/fusefs/mountpoint"
	"instarfs/fusefs/view"
	"instarfs/mountinfo"
	"instarfs/needs"
)

func shell(script, arg string) *exec.Cmd { return exec.Command("bash", "-c", script, arg) }

// sha256sum is what the program of that name prints for its standard input.
func sha256sum(b []byte) string { return fmt.Sprintf("%x  -\n", sha256.Sum256(b)) }

// A panic is the error of one call, whether it strikes in a handler or in a run, and the mount goes
// on.
func TestPanic(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "a.img", "a", 100)
	src.put(t, "b.img", "b", 100)
	src.put(t, "c.img", "c", 100)
	src.panics["stat b.img"] = true
	src.panics["c.img"] = true
	m := mountFake(t, src, nil)
	command(t, "stat", m.path("a.img.map.json")) // has the others mapped ahead
	m.waitLogged("panic while mapping ahead b.img: stat of b.img")
	for _, name := range []string{"b.img.map.json", "c.img.map.json"} {
		if _, err := tryCommand(t, "cat", m.path(name)); err == nil ||
			!strings.Contains(err.Error(), "Input/output error") {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.waitLogged("panic while answering a request: stat of b.img")
	m.waitLogged("run panicked: map of c.img")
	if got := m.read("a.img.map.json"); got != string(fakeContent("a", 100, view.JSON)) {
		t.Errorf("after the panics: %q", got)
	}
}

// A mount that is in use is detached: it vanishes from the tree, what is open goes on, and Serve
// ends with the last close.
func TestUnmountWhileOpen(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "a.img", "a", 500_000)
	m := mountFake(t, src, nil)
	out := interact(t, `exec 3< $0; echo ready; read -r go; sha256sum <&3`,
		m.path("a.img.map.json"), func() {
			m.stop()
			m.waitLogged("waiting up to 10s for the last close")
			if _, mounted, err := mountinfo.At(m.dir); mounted || err != nil {
				t.Errorf("still mounted: %v %v", mounted, err)
			}
			select {
			case err := <-m.ended:
				t.Errorf("Serve returned while a file was open: %v", err)
			default:
			}
		})
	if want := "ready\n" + sha256sum(fakeContent("a", 500_000, view.JSON)); out != want {
		t.Errorf("got %q, want %q", out, want)
	}
	if err := m.unmount(); err != nil { // as it would if the wait for the last close were over
		t.Errorf("Serve returned %v", err)
	}
}

// Whoever stops waiting uses Abort; requests that are under way do not hold it up.
func TestAbort(t *testing.T) {
	src := newFakeSource(t, time.Hour)
	src.put(t, "a.img", "a", 100)
	m := mountFake(t, src, nil)
	cmd := exec.Command("cat", m.path("a.img.map.json"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitRuns(t, src, 1)
	if err := m.mounted.Abort(); err != nil {
		t.Error(err)
	}
	if _, mounted, err := mountinfo.At(m.dir); mounted || err != nil {
		t.Errorf("still mounted: %v %v", mounted, err)
	}
	waitEnd(t, cmd)
	if err := m.unmount(); err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if err := m.mounted.Abort(); err != nil {
		t.Errorf("second Abort: %v", err)
	}
}

func TestExternalUnmount(t *testing.T) {
	src := newFakeSource(t, 0)
	m := mountFake(t, src, nil)
	command(t, "umount", m.dir)
	select {
	case err := <-m.ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(giveUp):
		t.Error("Serve does not notice")
	}
}

// What is refused before anything is mounted is one line, and leaves nothing.
func TestRefusedMounts(t *testing.T) {
	needs.FUSE(t)
	src := newFakeSource(t, 0)
	outside := t.TempDir()
	for _, c := range []struct{ point, include, want string }{
		{src.root, "*", "the mount point is inside the source"},
		{outside + "/none", "*", "no such file or directory"},
		{outside, "[a", `"[a"`},
	} {
		_, err := Mount(Options{
			Source: src, SourceDir: src.root, Mountpoint: c.point, Render: fakeRender,
			Include: []string{c.include}, Log: func(line string) { t.Error(line) },
		})
		if err == nil || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("mount at %s with %s: %v, want %q", c.point, c.include, err, c.want)
		}
	}
	if m, mounted, err := mountinfo.At(outside); mounted || err != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

// A server that was killed leaves a dead mount behind; the next one at that place clears it.
func TestDeadMount(t *testing.T) {
	needs.FUSE(t)
	point := t.TempDir()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("dead", point, mountpoint.FSType, 0,
		fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	if _, err := os.Stat(point); err == nil {
		t.Fatal("the mount is not dead")
	}
	src := newFakeSource(t, 0)
	src.put(t, "a.img", "a", 100)
	m := mountFake(t, src, func(o *Options) { o.Mountpoint = point })
	m.dir = point
	m.waitLogged("removed a dead mount of dead")
	if got := m.read("a.img.map.json"); got != string(fakeContent("a", 100, view.JSON)) {
		t.Errorf("read %q", got)
	}
}

// Without allow_other the mount is its owner's; with it the kernel checks the modes of the images.
func TestAllowOther(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "open.img", "o", 100)
	src.put(t, "closed.img", "c", 100)
	for name, mode := range map[string]os.FileMode{"open.img": 0644, "closed.img": 0600,
		".": 0755} {
		if err := os.Chmod(filepath.Join(src.root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	// where others may go
	point := filepath.Join("/tmp", filepath.Base(t.TempDir())+fmt.Sprint(os.Getpid()))
	if err := os.Mkdir(point, 0755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(point) })
	nobody := func(file string) error {
		_, err := tryCommand(t, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
			"cat", filepath.Join(point, file))
		return err
	}
	for _, allow := range []bool{false, true} {
		m := mountFake(t, src, func(o *Options) { o.Mountpoint, o.AllowOther = point, allow })
		if err := nobody("open.img.map.json"); (err == nil) != allow {
			t.Errorf("allow_other %v: readable image: %v", allow, err)
		}
		if err := nobody("closed.img.map.json"); err == nil {
			t.Errorf("allow_other %v: the map of an unreadable image can be read", allow)
		}
		m.unmount()
	}
}

// A program that this process starts does not get the mount's descriptor of /dev/fuse: it would
// keep the mount alive when the server is dead.
func TestProgramsDoNotGetTheDevice(t *testing.T) {
	src := newFakeSource(t, 0)
	m := mountFake(t, src, nil)
	// ls fails here if a descriptor is closed meanwhile, and has listed the others.
	own, _ := exec.Command("ls", "-l", fmt.Sprintf("/proc/%d/fd", os.Getpid())).Output()
	if !strings.Contains(string(own), "/dev/fuse") {
		t.Fatalf("the mount at %s has no descriptor of /dev/fuse:\n%s", m.dir, own)
	}
	if out := command(t, "ls", "-l", "/proc/self/fd"); strings.Contains(out, "/dev/fuse") {
		t.Errorf("a program got the device:\n%s", out)
	}
}

package fusefs

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"instarfs/fusefs/view"

	"golang.org/x/sys/unix"
)

// A handle and a mapping keep showing what they were opened on; the next open shows the new
// content.
func TestGenerationsArePinned(t *testing.T) {
	src := newFakeSource(t, 5*time.Millisecond)
	src.put(t, "a.img", "one", 300_000)
	m := mountFake(t, src, nil)
	file := m.path("a.img.map.json")
	script := `exec 3< $0 4< $0
read -r line <&3; echo "$line"
echo ready; read -r go
exec 5< $0
sha256sum < $0; sha256sum <&5; sha256sum <&4; cat <&3 | wc -c; stat -L -c %s /dev/fd/4 /dev/fd/5 $0`
	out := interact(t, script, file, func() { src.put(t, "a.img", "two", 200_000) })
	sum := func(seed string, size int) string {
		return sha256sum(fakeContent(seed, size, view.JSON))
	}
	want := "one.map.json 300000\nready\n" + sum("two", 200_000) + sum("two", 200_000) +
		sum("one", 300_000) +
		"299980\n300000\n200000\n200000\n"
	if out != want {
		t.Errorf("got %q\nwant %q", out, want)
	}
}

// interact runs a script that prints "ready" and waits for a line; change happens in between.
func interact(t *testing.T, script, file string, change func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd := shell(script, file)
	cmd.Stdin, cmd.Stderr = r, os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(out.String(), "ready\n") {
		if _, err := stdout.Read(b); err != nil {
			t.Fatalf("%v after %q", err, out.String())
		}
		out.Write(b)
	}
	change()
	io.WriteString(w, "go\n")
	if _, err := io.Copy(&out, stdout); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	return out.String()
}

// What appears, vanishes or turns into something else in the source does so in the mount within a
// second; an open sees it at once.
func TestSourceChanges(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "a.img", "a", 100)
	src.put(t, "d/b.img", "b", 100)
	m := mountFake(t, src, nil)
	m.names(".")
	m.names("d")
	m.read("a.img.map.json")

	src.put(t, "a.img", "changed", 200)
	if got := m.read("a.img.map.json"); got != string(fakeContent("changed", 200, view.JSON)) {
		t.Errorf("after replacement: %q", got)
	}
	src.put(t, "new.img", "n", 50)
	if got := m.read("new.img.map.txt"); got != string(fakeContent("n", 50, view.Text)) {
		t.Errorf("new image: %q", got)
	}
	for _, file := range []string{"a.img", "d/b.img", "d"} {
		if err := os.Remove(src.root + "/" + file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tryCommand(t, "cat", m.path("a.img.map.json")); err == nil ||
		!strings.Contains(err.Error(), "No such file") {
		t.Errorf("open of a removed image: %v", err)
	}
	time.Sleep(timeout + 100*time.Millisecond)
	if got, want := m.names("."), viewsOf("new.img"); got != want {
		t.Errorf("listing %q, want %q", got, want)
	}
	src.put(t, "d", "file", 10)
	if got := m.read("d.map.json"); got != string(fakeContent("file", 10, view.JSON)) {
		t.Errorf("file in the place of a directory: %q", got)
	}
}

// A listing that the kernel keeps is dropped when the directory changes.
func TestCachedListing(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "a.img", "a", 100)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(src.root, old, old); err != nil {
		t.Fatal(err)
	}
	m := mountFake(t, src, nil)
	for range 3 {
		if got, want := m.names("."), viewsOf("a.img"); got != want {
			t.Errorf("listing %q, want %q", got, want)
		}
	}
	src.put(t, "b.img", "b", 100)
	time.Sleep(timeout + 100*time.Millisecond)
	if got := m.names("."); !strings.Contains(got, "b.img.map.json") {
		t.Errorf("listing after a change: %q", got)
	}
}

// Inode numbers are those of content: they differ between generations and views, and are the same
// in every mount.
func TestInodes(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "a.img", "a", 100)
	seen := map[string]bool{}
	for range 2 {
		m := mountFake(t, src, nil)
		for _, name := range []string{"a.img.map.json", "a.img.map.txt", "."} {
			seen[command(t, "stat", "-c", "%i", m.path(name))] = true
		}
		m.unmount()
	}
	if len(seen) != 3 {
		t.Errorf("inode numbers: %v", seen)
	}
}

// A file that is opened through /proc has no name to look up again: the fallbacks of ESTALE must
// serve it.
func TestReopenThroughProc(t *testing.T) {
	src := newFakeSource(t, 5*time.Millisecond)
	src.put(t, "a.img", "one", 5000)
	m := mountFake(t, src, nil)
	fd, err := unix.Open(m.path("a.img.map.json"), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	pathOnly := os.NewFile(uintptr(fd), "a.img.map.json")
	defer pathOnly.Close()
	cmd := shell("busybox cat /proc/self/fd/3", "")
	cmd.ExtraFiles = []*os.File{pathOnly}
	out, err := cmd.Output()
	if err != nil || string(out) != string(fakeContent("one", 5000, view.JSON)) {
		t.Errorf("%v, %d bytes", err, len(out))
	}
}

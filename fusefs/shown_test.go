package fusefs

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"instarfs/fusefs/view"

	"golang.org/x/sys/unix"
)

// forget drops all maps that are at hand, as a full cache does.
func (s *fakeSource) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.cached)
}

// pin opens a file of the mount by O_PATH: a bind mount and a file server hold it in the same way.
func (m *testMount) pin(name string) *os.File {
	m.t.Helper()
	fd, err := unix.Open(m.path(name), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), name)
	m.t.Cleanup(func() { f.Close() })
	return f
}

// readPinned has a client read a pinned file, which it opens anew.
func readPinned(t *testing.T, pinned *os.File, how string) string {
	t.Helper()
	name, args := clientCommand(how, "/proc/self/fd/3")
	cmd := exec.Command(name, args...)
	cmd.ExtraFiles, cmd.Stderr = []*os.File{pinned}, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v", how, err)
	}
	return string(out)
}

// An inode that is opened again without a lookup, after its image has changed, shows the new
// content whole, whatever way a program reads: larger, smaller, and of one page.
func TestPinnedInodeShowsTheNewContent(t *testing.T) {
	for how := range clients {
		if how == "alarmed-stat" || how == "mmap-stat" {
			continue // a stat before the open sees what the inode was
		}
		want := func(seed string,
			size int64) string {
			return string(fakeContent(seed, int(size), view.JSON))
		}
		if how == "seek-end" {
			want = func(_ string, size int64) string { return fmt.Sprintln(size) }
		}
		src := newFakeSource(t, 0)
		src.put(t, "a.img", "seed", 60_000)
		m := mountFake(t, src, nil)
		pinned := m.pin("a.img.map.json")
		before := ""
		for i, size := range []int64{60_000, 90_000, 20_001, 300, 299, 4096, 300_000, 200_003,
			70_000, 40_960} {
			seed := strings.Repeat("x", i+1)
			src.put(t, "a.img", seed, size)
			src.forget()
			var got string
			eventually(func() bool { // the kernel tells of the last close a moment later
				got = readPinned(t, pinned, how)
				return i == 0 || got != before
			})
			if got != want(seed, size) {
				t.Errorf("%s: %d bytes %.40q, want the %d of %q", how, len(got), got, size, seed)
			}
			before = got
		}
		if n := m.logged("panic"); n > 0 {
			t.Errorf("%s: %d panics", how, n)
		}
	}
}

// While a program has the old content open, the inode shows it to all: no page of the new one may
// come between. After the last close it shows the new one.
func TestPinnedInodeThatIsOpen(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "a.img", "one", 60_000)
	m := mountFake(t, src, nil)
	pinned := m.pin("a.img.map.json")
	one := string(fakeContent("one", 60_000, view.JSON))
	two := string(fakeContent("two", 50_000, view.JSON))
	out := interact(t, `exec 3< $0; echo ready; read -r go; cat <&3`, m.path("a.img.map.json"),
		func() {
			src.put(t, "a.img", "two", 50_000)
			src.forget()
			for _, how := range []string{"read", "sendfile", "mmap-private"} {
				if got := readPinned(t, pinned, how); got != one {
					t.Errorf("%s: %d bytes %.40q while the old content is open", how, len(got), got)
				}
			}
			if got := m.read("a.img.map.json"); got != two {
				t.Errorf("by name: %d bytes %.40q", len(got), got)
			}
		})
	if out != "ready\n"+one {
		t.Errorf("the old handle: %.40q", out)
	}
	var got string
	if !eventually(func() bool {
		got = readPinned(t, pinned, "read")
		return got == two
	}) {
		t.Errorf("after the last close: %d bytes %.40q", len(got), got)
	}
}

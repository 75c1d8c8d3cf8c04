package fusefs

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"instarfs/fusefs/view"
	"instarfs/needs"
)

func TestListingsRunNoGuest(t *testing.T) {
	src := newFakeSource(t, 60*time.Millisecond)
	src.put(t, "a.qcow2", "a", 5000)
	src.put(t, "notes", "n", 10)
	src.put(t, "sub/B.IMG", "b", 100)
	src.put(t, "sub/deep/c.raw", "c", 100)
	m := mountFake(t, src, nil)
	if got, want := m.names("."), viewsOf("a.qcow2")+"\nsub"; got != want {
		t.Errorf("listing: %q, want %q", got, want)
	}
	if got, want := m.names("sub"), viewsOf("B.IMG")+"\ndeep"; got != want {
		t.Errorf("listing: %q, want %q", got, want)
	}
	if got := command(t, "find", m.dir, "-name", "*.json", "-type", "f"); strings.Count(got,
		"\n") != 3 {
		t.Errorf("find: %q", got)
	}
	command(t, "bash", "-c", `[[ -r $0 && ! -w $0 ]]`, m.path("a.qcow2.map.json"))
	if n := src.runs.Load(); n != 0 {
		t.Errorf("listings started %d guests", n)
	}
	if got := m.read("notes.map.json"); got != string(fakeContent("n", 10, view.JSON)) {
		t.Errorf("map of a file that is not listed: %q", got)
	}
	if got := m.read("sub/deep/c.raw.map.txt"); got != string(fakeContent("c", 100, view.Text)) {
		t.Errorf("text: %q", got)
	}
}

func TestStatIsExact(t *testing.T) {
	needs.FUSE(t)
	src := newFakeSource(t, 60*time.Millisecond)
	src.put(t, "a.img", "a", 12345)
	if err := os.Chmod(src.root+"/a.img", 0751); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(src.root+"/a.img", 12, 34); err != nil {
		t.Fatal(err)
	}
	when := time.Unix(1_600_000_000, 123456789)
	if err := os.Chtimes(src.root+"/a.img", when, when); err != nil {
		t.Fatal(err)
	}
	m := mountFake(t, src, nil)
	got := command(t, "stat", "-c", "%s %b %a %u %g %h %.9Y %F", m.path("a.img.map.json"))
	if want := "12345 25 640 12 34 1 1600000000.123456789 regular file\n"; got != want {
		t.Errorf("stat: %q, want %q", got, want)
	}
	if n := src.runs.Load(); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
	if err := os.Chmod(src.root+"/a.img", 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(timeout)
	if got := command(t, "stat", "-c", "%a", m.path("a.img.map.txt")); got != "0\n" {
		t.Errorf("the map of an unreadable image has mode %q", got)
	}
}

func TestReadOnly(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "a.img", "a", 100)
	src.put(t, "d/b.img", "b", 100)
	m := mountFake(t, src, nil)
	for _, script := range []string{
		`: >> $0/a.img.map.json`, `: > $0/a.img.map.json`, `: > $0/new`, `rm $0/a.img.map.json`,
		`mkdir $0/x`, `rmdir $0/d`,
		`touch $0/a.img.map.txt`, `chmod 777 $0/a.img.map.json`, `mv $0/a.img.map.json $0/z`,
		`ln -s x $0/y`,
	} {
		if _, err := tryCommand(t, "sh", "-c", script, m.dir); err == nil ||
			!strings.Contains(err.Error(), "Read-only file system") {
			t.Errorf("%s: %v", script, err)
		}
	}
	got := command(t, "findmnt", "-n", "-o", "FSTYPE,SOURCE,OPTIONS", m.dir)
	for _, want := range []string{"fuse.instarfs", src.root, "ro,nosuid,nodev,noexec"} {
		if !strings.Contains(got, want) {
			t.Errorf("findmnt says %q, want %q in it", got, want)
		}
	}
}

func TestFailures(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "bad.img", "bad", 100)
	src.put(t, "half.img", "notext", 100)
	src.put(t, "good.img", "good", 100)
	src.break_("bad.img",
		&errnoError{"map bad.img: qcow2 magic at offset 0:\nnot a \u009bqcow2 image",
			syscall.EUCLEAN})
	m := mountFake(t, src, nil)
	line := `map bad.img: qcow2 magic at offset 0:\x0anot a \xc2\x9bqcow2 image`

	if got := command(t, "stat", "-c", "%s", m.path("bad.img.map.json")); got != "0\n" {
		t.Errorf("stat of what cannot be mapped: %q", got)
	}
	for range 3 {
		if _, err := tryCommand(t, "cat", m.path("bad.img.map.json")); err == nil ||
			!strings.Contains(err.Error(), "Structure needs cleaning") {
			t.Errorf("open of what cannot be mapped: %v", err)
		}
	}
	if got := m.read("bad.img.map.err"); got != line+"\n" {
		t.Errorf("reason: %q", got)
	}
	if got := m.read("half.img.map.json"); got != string(fakeContent("notext", 100, view.JSON)) {
		t.Errorf("json: %q", got)
	}
	if _, err := tryCommand(t, "cat", m.path("half.img.map.txt")); err == nil ||
		!strings.Contains(err.Error(), "Input/output error") {
		t.Errorf("open of a view that cannot be made: %v", err)
	}
	if got := m.read("half.img.map.err"); got != "render half.img.map.txt: "+errNoText.Error()+
		"\n" {
		t.Errorf("reason: %q", got)
	}
	if got := m.read("good.img.map.err"); got != "" {
		t.Errorf("reason of a good image: %q", got)
	}
	if got := command(t, "stat", "-c", "%s",
		m.path("bad.img.map.err")); got != fmt.Sprintln(len(line)+1) {
		t.Errorf("size of the reason: %q", got)
	}
	m.waitLogged(line)
	m.waitLogged("half.img.map.txt")
	if n := m.logged("bad.img"); n != 1 {
		t.Errorf("the failure was logged %d times", n)
	}

	// The same generation may succeed later, and the reason with it.
	src.break_("bad.img", nil)
	if got := m.read("bad.img.map.json"); got != string(fakeContent("bad", 100, view.JSON)) {
		t.Errorf("after the failure has passed: %q", got)
	}
	if got := m.read("bad.img.map.err"); got != "" {
		t.Errorf("reason after the failure has passed: %q", got)
	}
	if _, err := tryCommand(t, "cat", m.path("gone.img.map.json")); err == nil ||
		!strings.Contains(err.Error(), "No such file") {
		t.Errorf("map of nothing: %v", err)
	}
}

// errnoError is an error of a source that names its errno.
type errnoError struct {
	text  string
	errno syscall.Errno
}

func (e *errnoError) Error() string        { return e.text }
func (e *errnoError) Errno() syscall.Errno { return e.errno }

// Directories and files have their owner's permission to write where those of the source have it,
// though nobody can write in the mount: without it an ordinary user could not copy a tree over an
// older copy, or remove one.
func TestDirectoriesCanBeCopied(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "d/a.img", "a", 100)
	work, err := os.MkdirTemp("/tmp", "copies-") // where others may go
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(work)
	point := work + "/mnt"
	if err := errors.Join(os.Chmod(work, 0777), os.Mkdir(point, 0755),
		os.Chmod(src.root+"/d/a.img", 0644)); err != nil {
		t.Fatal(err)
	}
	m := mountFake(t, src, func(o *Options) { o.AllowOther, o.Mountpoint = true, point })
	m.dir = point
	modes := []struct {
		source os.FileMode
		want   string
	}{{0777, "755"}, {0500, "500"}, {0755, "755"}}
	for _, mode := range modes {
		if err := os.Chmod(src.root+"/d", mode.source); err != nil {
			t.Fatal(err)
		}
		time.Sleep(timeout + 50*time.Millisecond)
		if got := command(t, "stat", "-c", "%a", m.path("d")); got != mode.want+"\n" {
			t.Errorf("a directory of mode %o has mode %q", mode.source, got)
		}
	}
	_, err = tryCommand(t, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		"sh", "-ec", `cd "$0"; cp -r mnt/d copy; cp -r mnt/d/. copy; rm -r copy; [ ! -e copy ]`,
		work)
	if err != nil {
		t.Error(err)
	}
	if err := m.unmount(); err != nil { // before its directory is removed
		t.Error(err)
	}
}

package main

import (
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// oddNames are names that a file may have. The last is as long as one may be of which the view has
// a name too.
var oddNames = []string{
	"sp ace.raw", "line\nfeed.raw", "\x1b[31mred.raw", "ümläut — 日本.raw", "not utf-8 \xff\xfe.raw",
	"-rf.raw", "a\\b.raw", "'quoted\".raw",
	// 246 bytes
	"x.map.json.raw", "%s%n.raw", ".hidden.raw", "trailing.raw", "UPPER.RAW", "x:y.raw",
	strings.Repeat("ß", 121) + ".raw",
}

// Every name works that leaves room for that of the view.
func TestNames(t *testing.T) {
	source := t.TempDir()
	real := realTool(t)
	want := map[string]string{}
	for i, name := range oddNames {
		file := filepath.Join(source, name)
		writeAt(t, file, map[int64]string{int64(i) * 4096: "x"})
		settle(t, file)
		for view, text := range mapsOf(t, real, file) {
			want[name+view] = text
		}
	}
	long := strings.Repeat("l", 251) + ".raw"
	writeAt(t, filepath.Join(source, long), nil)
	s := serve(t, source)
	for range 2 {
		if listed, expected := filesBelow(t, s.dir),
			slices.Sorted(maps.Keys(want)); !slices.Equal(listed, expected) {
			t.Errorf("listed %q, want %q", listed, expected)
		}
		for name, text := range want {
			if got := s.read(name); got != text {
				t.Errorf("%q: %q, want %q", name, got, text)
			}
		}
		for _, name := range oddNames {
			if reason := s.read(name + ".map.err"); reason != "" {
				t.Errorf("%q: %s", name, reason)
			}
		}
	}
	await(t, "the log tells of the name that is too long", func() bool { return len(s.log()) > 0 })
	if log := s.log(); len(log) != 1 || !strings.Contains(log[0], long) {
		t.Errorf("log %q, want one line about %s", log, long)
	}
}

// opens watches how often files are opened.
type opens struct{ fd int }

func watchOpens(t *testing.T, files ...string) opens {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, file := range files {
		if _, err := unix.InotifyAddWatch(fd, file, unix.IN_OPEN); err != nil {
			t.Fatalf("watch %s: %v", file, err)
		}
	}
	return opens{fd}
}

// seen reports whether a file was opened since the last call.
func (o opens) seen(t *testing.T) bool {
	t.Helper()
	b := make([]byte, 4096)
	n, err := unix.Read(o.fd, b)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return n >= unix.SizeofInotifyEvent && binary.NativeEndian.Uint32(b[4:])&unix.IN_OPEN != 0
}

// What is no regular file is neither listed nor opened, whatever its name. Links that end at a
// regular file or a directory below the source are shown as links, from one map to another.
func TestSpecialFilesAndLinks(t *testing.T) {
	source, outside := t.TempDir(), t.TempDir()
	in := func(name string) string { return filepath.Join(source, name) }
	secret := filepath.Join(outside, "secret.qcow2")
	writeAt(t, secret, map[int64]string{0: string(variant(2))})
	writeAt(t, in("sub/a.qcow2"), map[int64]string{0: string(variant(1))})
	writeAt(t, in("dir.qcow2/b.raw"), map[int64]string{0: "b"})
	socket, err := net.Listen("unix", in("socket.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := errors.Join(
		unix.Mkfifo(in("fifo.raw"), 0o666),
		unix.Mknod(in("null.img"), unix.S_IFCHR|0o666, 1<<8|3),
		unix.Mknod(in("block.img"), unix.S_IFBLK|0o666, 7<<8),
		os.Symlink("sub/a.qcow2", in("inner.qcow2")),
		os.Symlink("../inner.qcow2", in("sub/up.qcow2")),
		os.Symlink("sub", in("linked")), os.Symlink(in("sub/a.qcow2"), in("absolute.qcow2")),
		os.Symlink(secret, in("secret.qcow2")),
		os.Symlink("../"+filepath.Base(outside)+"/secret.qcow2", in("dotdot.qcow2")),
		os.Symlink(outside, in("out")), os.Symlink("none", in("dangling.raw")),
		os.Symlink("self.raw", in("self.raw")),
		os.Symlink("fifo.raw", in("tofifo.raw")),
		os.Symlink("/proc/self/environ", in("environ.raw")),
	); err != nil {
		t.Fatal(err)
	}
	watch := watchOpens(t, in("fifo.raw"), in("null.img"), secret)
	f, err := os.Open(secret)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if !watch.seen(t) {
		t.Fatal("opens are not seen")
	}
	s := serve(t, source)
	want := append(viewsOf("absolute.qcow2", "dir.qcow2/b.raw", "inner.qcow2", "sub/a.qcow2",
		"sub/up.qcow2"), "linked")
	slices.Sort(want)
	if got := filesBelow(t, s.dir); !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	list := s.read("sub/a.qcow2.map.json")
	for _, link := range []string{"inner.qcow2", "sub/up.qcow2", "absolute.qcow2",
		"linked/a.qcow2"} {
		if got := s.read(link + ".map.json"); got != list || list == "" {
			t.Errorf("%s: %.200q, want %.200q", link, got, list)
		}
	}
	s.bash("ls -lR $M; find $M -size +1; cat $M/*")
	for _, name := range []string{
		"fifo.raw", "tofifo.raw", "null.img", "block.img", "socket.img", "secret.qcow2",
		"dotdot.qcow2", "out/secret.qcow2", "dangling.raw",
		"self.raw", "environ.raw", "dir.qcow2", "sub",
	} {
		for _, file := range append(viewsOf(name), name+".map.err") {
			_, err := os.ReadFile(s.path(file))
			if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ELOOP) {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if watch.seen(t) {
		t.Error("what is no image was opened")
	}
	// Whose name is that of an image is told why it is none.
	told := s.log()
	for _, name := range []string{"block.img", "dangling.raw", "dotdot.qcow2", "environ.raw",
		"secret.qcow2", "self.raw", "tofifo.raw"} {
		begin := "instarfs: " + name + " is not shown: it is a "
		rest := slices.DeleteFunc(slices.Clone(told),
			func(line string) bool { return strings.HasPrefix(line, begin) })
		if len(rest) != len(told)-1 {
			t.Errorf("%s is told %d times: %q", name, len(told)-len(rest), s.log())
		}
		told = rest
	}
	if len(told) != 0 {
		t.Errorf("log %q", told)
	}
}

// Three levels of directories appear, are renamed and vanish with those of the source.
func TestDirectoriesComeAndGo(t *testing.T) {
	source := t.TempDir()
	s := serve(t, source)
	listing := func(want ...string) {
		t.Helper()
		var got []string
		ok := func() bool {
			// A walk may meet a directory that vanishes under it, so errors are another reason to
			// look again.
			got = strings.Fields(s.bash("cd $M && find . -type f -name '*.json' 2>&1 | sort"))
			return slices.Equal(got, want)
		}
		await(t, "the mount lists "+strings.Join(want, " "), ok)
	}
	listing()
	for round := range 2 {
		writeAt(t, filepath.Join(source, "1/2/3/a.qcow2"),
			map[int64]string{0: string(variant(round))})
		writeAt(t, filepath.Join(source, "1/b.raw"), nil)
		listing("./1/2/3/a.qcow2.map.json", "./1/b.raw.map.json")
		if got, want := s.read("1/2/3/a.qcow2.map.json"),
			mapsOf(t, realTool(t),
				filepath.Join(source, "1/2/3/a.qcow2"))[".map.json"]; got != want {
			t.Errorf("%.200q, want %.200q", got, want)
		}
		if err := os.Rename(filepath.Join(source, "1/2"),
			filepath.Join(source, "two")); err != nil {
			t.Fatal(err)
		}
		listing("./1/b.raw.map.json", "./two/3/a.qcow2.map.json")
		if got := s.read("two/3/a.qcow2.map.txt"); !strings.Contains(got, source+
			"/two/3/a.qcow2\n") {
			t.Errorf("after a rename: %.300q", got)
		}
		if err := errors.Join(os.RemoveAll(filepath.Join(source, "1")),
			os.RemoveAll(filepath.Join(source, "two"))); err != nil {
			t.Fatal(err)
		}
		listing()
		await(t, "what is gone cannot be opened", func() bool {
			_, err := os.ReadFile(s.path("two/3/a.qcow2.map.json"))
			return errors.Is(err, syscall.ENOENT)
		})
	}
}

// An image that the server may not read has a reason, also for root, who may not pass permissions
// here.
func TestUnreadableImage(t *testing.T) {
	source, dir := smallSource(t), t.TempDir()
	closed := filepath.Join(source, "closed.qcow2")
	writeAt(t, closed, map[int64]string{0: "x"})
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	s := serveBy(t, bound(child(realChild, "mount", source, dir)), source, dir)
	info, err := os.Stat(s.path("closed.qcow2.map.json"))
	if err != nil || info.Size() != 0 || info.Mode() != 0 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.ReadFile(s.path("closed.qcow2.map.json")); !errors.Is(err, syscall.EACCES) {
		t.Error(err)
	}
	want := "map " + closed + ": open: permission denied"
	if got := s.read("closed.qcow2.map.err"); got != want+"\n" {
		t.Errorf("the reason is %q, want %q", got, want)
	}
	if got := s.read("a.qcow2.map.json"); got == "" {
		t.Error("the other image has no map")
	}
	await(t, "the log says why", func() bool { return slices.Contains(s.log(), "instarfs: "+want) })
	if err := os.Chmod(closed, 0o400); err != nil {
		t.Fatal(err)
	}
	await(t, "an image that became readable is mapped", func() bool {
		b, err := os.ReadFile(s.path("closed.qcow2.map.json"))
		return err == nil && len(b) > 0
	})
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"instarfs/cmd/instarfs/mirror"
	"instarfs/needs"
)

// chainTree makes a directory with a base and overlays, one of them in a subdirectory, and images
// that name what is not theirs.
func chainTree(t *testing.T) string {
	t.Helper()
	needs.Qemu(t)
	root := t.TempDir()
	source := filepath.Join(root, "images")
	out := bash(t, `set -e; mkdir -p $S/sub $S/../outside; cd $S; qemu-io() { command qemu-io "$@" >/dev/null; }
		qemu-img create -q -f qcow2 base.qcow2 4M; qemu-io -f qcow2 -c "write 0 1M" base.qcow2
		qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2; qemu-io -f qcow2 -c "write 64k 64k" over.qcow2
		qemu-img create -q -f qcow2 -b ../over.qcow2 -F qcow2 sub/top.qcow2
		qemu-io -f qcow2 -c "write -z 2M 64k" sub/top.qcow2
		qemu-img create -q -f qcow2 -o data_file=disk.data disk.qcow2 1M; qemu-io -f qcow2 -c "write 0 64k" disk.qcow2
		echo secret >../outside/secret
		qemu-img create -q -f qcow2 -u -b ../outside/secret -F raw out.qcow2 1M
		qemu-img create -q -f qcow2 -u -b /etc/passwd -F raw passwd.qcow2 1M
		qemu-img create -q -f qcow2 -u -b gone.qcow2 -F qcow2 missing.qcow2 1M
		ln -s ../outside/secret link; qemu-img create -q -f qcow2 -u -b link -F raw linked.qcow2 1M`, "S="+source)
	if out != "" {
		t.Fatal(out)
	}
	return source
}

// TestMountOfChains: a mount shows what qemu-img prints when it is given the source, a slash and
// the path; it refuses what lies outside; and when a layer changes, the maps of all images above it
// are new.
func TestMountOfChains(t *testing.T) {
	source, dir := chainTree(t), t.TempDir()
	var mu sync.Mutex
	var lines []string
	c := &counted{Pool: walkedGuests{}}
	mountOn(t, c, mountOptions{Options: mirror.Options{
		Source: source, Mountpoint: dir, CacheBytes: defaultCacheBytes,
		Log: func(line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line)
		}}})
	same := func(name string) {
		t.Helper()
		for _, v := range []string{"human txt", "json json"} {
			output, suffix, _ := strings.Cut(v, " ")
			want, err := exec.Command("qemu-img", "map", "--output="+output,
				filepath.Join(source, name)).Output()
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(dir, name+".map."+suffix))
			// Our own profile tells of compression, which qemu-img 7.2 does not.
			if plain := strings.ReplaceAll(string(got), `, "compressed": false`, ""); err != nil ||
				plain != string(want) {
				t.Errorf("%s as %s: %v\n%s\nwant\n%s", name, output, err, got, want)
			}
		}
	}
	for _, name := range []string{"base.qcow2", "over.qcow2", "sub/top.qcow2"} {
		same(name)
	}
	// qemu-img looks for data files where it runs.
	t.Chdir(source)
	want, err := exec.Command("qemu-img", "map", source+"/disk.qcow2").Output()
	got, err2 := os.ReadFile(dir + "/disk.qcow2.map.txt")
	if err != nil || err2 != nil || string(got) != string(want) {
		t.Errorf("%v %v: %q, want %q", err, err2, got, want)
	}
	// Others of the directory are mapped ahead.
	const images = 8
	if n := c.runs.Load(); n < 4 || n > images {
		t.Errorf("%d runs for %d images, want one each", n, images)
	}
	for name, want := range map[string]struct {
		errno syscall.Errno
		text  string
	}{
		"out.qcow2": {syscall.EACCES,
			`backing file "../outside/secret" is refused: it lies outside of the directories that may be read`},
		"passwd.qcow2":  {syscall.EACCES, `backing file "/etc/passwd" is refused: it lies outside`},
		"linked.qcow2":  {syscall.EACCES, `backing file "link" is refused: it lies outside`},
		"missing.qcow2": {syscall.ENOENT, `backing file "gone.qcow2" (`},
	} {
		path := filepath.Join(dir, name+".map.json")
		if st, err := os.Stat(path); err != nil || st.Size() != 0 {
			t.Errorf("%s: stat says %v, %v", name, st, err)
		}
		if _, err := os.ReadFile(path); !isErrno(err, want.errno) {
			t.Errorf("%s: %v, want %v", name, err, want.errno)
		}
		said, err := os.ReadFile(filepath.Join(dir, name+".map.err"))
		if err != nil || !strings.Contains(string(said), want.text) ||
			strings.Count(string(said), "\n") != 1 {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
	mu.Lock()
	if log := strings.Join(lines, "\n"); !strings.Contains(log, "passwd") {
		t.Errorf("the log tells nothing of refusals: %q", log)
	}
	mu.Unlock()

	// A write to the base shows in all that is over it, at the next open.
	if out, err := exec.Command("qemu-io", "-f", "qcow2", "-c", "write 3M 64k", source+
		"/base.qcow2").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	time.Sleep(50 * time.Millisecond)
	for _, name := range []string{"sub/top.qcow2", "over.qcow2", "base.qcow2"} {
		same(name)
	}
	if n := c.runs.Load(); n > images+1 {
		t.Errorf("%d runs in all, and only one image has changed", n)
	}
}

func isErrno(err error, want syscall.Errno) bool {
	e, ok := err.(*os.PathError)
	return ok && e.Err == want
}

// lookups are the system calls that take a path.
var lookups = regexp.MustCompile(
	`(open|openat|openat2|stat|lstat|newfstatat|statx|access|faccessat2|readlink|readlinkat)\(`)

// checkTrace looks for a forbidden path in what strace saw: none is ever opened, not even to see
// whether it is there, but for what the kernel itself refuses because it leads out of the tree.
func checkTrace(t *testing.T, log, image, outside string) {
	t.Helper()
	trace, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	saw := false
	lines := strings.Split(string(trace), "\n")
	for i, line := range lines {
		saw = saw || strings.Contains(line, image)
		if pid, _, _ := strings.Cut(line, " "); strings.HasSuffix(line, "<unfinished ...>") {
			// Another thread came between. How it ended stands further down.
			for _, later := range lines[i+1:] {
				if strings.HasPrefix(later, pid+" ") {
					line += later
					break
				}
			}
		}
		if !lookups.MatchString(line) {
			if strings.Contains(line, "<"+outside) || strings.Contains(line, "</etc/passwd>") {
				t.Errorf("%s: a forbidden file is open: %s", image, line)
			}
			continue
		}
		// The link itself is in the tree, and may be read.
		itself := strings.Contains(line, "NOFOLLOW") || strings.Contains(line, "readlinkat(") &&
			strings.Contains(line, `, "", `)
		forbidden := strings.Contains(line, `"../outside`) ||
			strings.Contains(line, `"/etc/passwd"`) || strings.Contains(line, `"link"`)
		refused := strings.Contains(line, "= -1 EXDEV") || strings.Contains(line, "= -1 EAGAIN")
		if forbidden && !itself && (!strings.Contains(line, "RESOLVE_BENEATH") || !refused) {
			t.Errorf("%s: %s", image, line)
		}
	}
	if !saw {
		t.Errorf("%s: the trace does not even show the image:\n%.2000s", image, trace)
	}
}

// TestNothingForbiddenIsOpened watches the system calls of map.
func TestNothingForbiddenIsOpened(t *testing.T) {
	source := chainTree(t)
	outside := filepath.Join(filepath.Dir(source), "outside")
	for _, name := range []string{"out.qcow2", "passwd.qcow2", "linked.qcow2", "over.qcow2"} {
		log := filepath.Join(t.TempDir(), "strace")
		cmd := child(walkedChild, "map", filepath.Join(source, name))
		traced := exec.Command("strace",
			append([]string{"-f", "-y", "-s", "4096", "-o", log, "-e", "trace=file,desc"},
				cmd.Args...)...)
		traced.Env = cmd.Env
		out, err := traced.CombinedOutput()
		if refused := name != "over.qcow2"; (err != nil) != refused {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		checkTrace(t, log, name, outside)
	}
}

// TestMountOpensNothingForbidden watches the system calls of a mount while all that is in it is
// listed and read.
func TestMountOpensNothingForbidden(t *testing.T) {
	source := chainTree(t)
	log := filepath.Join(t.TempDir(), "strace")
	dir := t.TempDir()
	cmd := child(walkedChild, "mount", source, dir)
	// With -D the process that is started is the mount, not the tracer.
	traced := exec.Command("strace",
		append([]string{"-D", "-f", "-s", "4096", "-o", log, "-e", "trace=file"}, cmd.Args...)...)
	traced.Env = cmd.Env
	s := serveBy(t, traced, source, dir)
	s.bash(`ls -lR $M; cat $M/*.map.* $M/sub/*.map.*; cat $M/{out,passwd,linked,missing}.qcow2.map.err`)
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("the mount ends with status %d: %q", code, s.log())
	}
	await(t, "strace is done", func() bool {
		b, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(b), "+++ exited with 0 +++")
	})
	checkTrace(t, log, "passwd.qcow2", filepath.Join(filepath.Dir(source), "outside"))
}

// TestHundredOverlaysInGuests maps a hundred overlays of one base in a mount, with real guests: a
// run for each and one for the base, and one more when one of them has changed.
func TestHundredOverlaysInGuests(t *testing.T) {
	needs.Qemu(t)
	source, dir := t.TempDir(), t.TempDir()
	out := bash(t, `set -e; cd $S; qemu-img create -q -f qcow2 base.qcow2 64M
		qemu-io -f qcow2 -c "write 0 1M" base.qcow2 >/dev/null
		qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 0.qcow2
		for i in $(seq 1 99); do cp 0.qcow2 $i.qcow2; done`, "S="+source)
	if out != "" {
		t.Fatal(out)
	}
	c := mountCounted(t, source, dir)
	read := func() string {
		return bash(t, `cd $M && for i in $(seq 0 99); do cat $i.qcow2.map.json; done |
			grep -c '"depth": 1, "present": true'`, "M="+dir)
	}
	expect := func(runs int64) {
		t.Helper()
		if got := read(); got != "100\n" {
			t.Fatalf("%q", got)
		}
		if n := c.runs.Load(); n != runs {
			t.Errorf("%d runs, want %d", n, runs)
		}
	}
	expect(101)
	expect(101)
	now := time.Now()
	if err := os.Chtimes(fmt.Sprintf("%s/%d.qcow2", source, 7), now, now); err != nil {
		t.Fatal(err)
	}
	expect(102)
}

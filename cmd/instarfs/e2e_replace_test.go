package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"instarfs/guest/format/qcow2/qcow2test"
)

// variant is an image whose map is another for every n.
func variant(n int) []byte {
	q := qcow2test.New(16<<20, 12)
	for i := range uint64(n%7)*100 + 50 {
		q.Data(i*2+uint64(n), 1)
	}
	return q.Bytes()
}

// mapsOf are both views of a file as instarfs map prints them.
func mapsOf(t *testing.T, real *tool, file string) map[string]string {
	t.Helper()
	maps := map[string]string{}
	for view, output := range outputs {
		real.stdout.Reset()
		real.stderr.Reset()
		if code := real.run("map", output, file); code != 0 {
			t.Fatalf("map %s: %s", file, real.stderr.String())
		}
		maps[view] = real.stdout.String()
	}
	return maps
}

// rename replaces a file by another.
func rename(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := errors.Join(os.WriteFile(file+".new", content, 0o644),
		os.Rename(file+".new", file)); err != nil {
		t.Error(err)
	}
}

// rewrite replaces the content of a file, its first sector last: until then it is a raw image.
func rewrite(t *testing.T, file string, content []byte) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR|os.O_TRUNC|os.O_CREATE, 0o644)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	for off := int64(512); off < int64(len(content)) && err == nil; off += 100_000 {
		_, err = f.WriteAt(content[off:min(off+100_000, int64(len(content)))], off)
	}
	if _, last := f.WriteAt(content[:512], 0); last != nil || err != nil {
		t.Error(err, last)
	}
}

// lengthen makes a file a sector and a hole larger.
func lengthen(t *testing.T, file string, content []byte) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	end, err := f.Seek(16<<10, io.SeekEnd)
	if err == nil {
		_, err = f.WriteAt(content[:512], end)
	}
	if err != nil {
		t.Error(err)
	}
}

// A handle that was open before the image changed goes on with the map that it opened; the next one
// has the new map.
func TestHandlesKeepTheirMap(t *testing.T) {
	source := t.TempDir()
	real := realTool(t)
	s := serve(t, source)
	for name, change := range map[string]func(*testing.T, string, []byte){
		"renamed.qcow2": rename, "rewritten.qcow2": rewrite, "longer.raw": lengthen,
	} {
		file := filepath.Join(source, name)
		change(t, file, variant(0))
		for n := range 4 {
			before := mapsOf(t, real, file)
			handles := map[string]*os.File{}
			for view, want := range before {
				f, err := os.Open(s.path(name + view))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				start := make([]byte, len(want)/2)
				if _, err := io.ReadFull(f, start); err != nil ||
					string(start) != want[:len(start)] {
					t.Errorf("%s%s: reads %.200q, %v, want %.200q", name, view, start, err, want)
				}
				handles[view] = f
			}
			change(t, file, variant(n+1))
			after := mapsOf(t, real, file)
			for view, f := range handles {
				if got := s.read(name + view); got != after[view] || got == before[view] {
					t.Errorf("%s%s: after the change an open reads %.200q, want %.200q", name, view,
						got, after[view])
				}
				rest, err := io.ReadAll(f)
				whole := make([]byte, len(before[view]))
				if _, readErr := f.ReadAt(whole, 0); readErr != nil || err != nil ||
					before[view] != string(whole) || !bytes.HasSuffix(whole, rest) {
					t.Errorf("%s%s: the handle from before reads %.200q, %v, %v", name, view, whole,
						err, readErr)
				}
			}
		}
	}
}

// churn is an image that changes all the time, and what a reader may see of it.
type churn struct {
	name   string
	change func(*testing.T, string, []byte)
	one    bool // of known maps
}

// TestReadersWhileImagesChange has readers in loops meet images that change every few milliseconds.
// Whatever they get is one map, whole, or EBUSY, and when the images rest it is the map of what
// they are.
func TestReadersWhileImagesChange(t *testing.T) {
	const variants = 6
	source := t.TempDir()
	real := realTool(t)
	churns := []churn{{"renamed.qcow2", rename, true}, {"rewritten.qcow2", rewrite, false},
		{"longer.raw", lengthen, false}}
	contents := make([][]byte, variants)
	known := map[string]bool{}
	for n := range contents {
		contents[n] = variant(n)
		rename(t, filepath.Join(source, "renamed.qcow2"), contents[n])
		for _, text := range mapsOf(t, real, filepath.Join(source, "renamed.qcow2")) {
			known[text] = true
		}
	}
	for _, c := range churns[1:] {
		c.change(t, filepath.Join(source, c.name), contents[0])
	}
	s := serve(t, source)
	var (
		wg          sync.WaitGroup
		stop        atomic.Bool
		reads, busy atomic.Int64
	)
	defer wg.Wait() // also when the wait below was in vain
	defer stop.Store(true)
	for _, c := range churns {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				c.change(t, filepath.Join(source, c.name), contents[n%variants])
				time.Sleep(100 * time.Millisecond * slowness)
			}
		})
	}
	for worker := range 3 {
		wg.Go(func() {
			for n := worker; !stop.Load(); n++ {
				c, view := churns[n%len(churns)], []string{".map.json", ".map.txt"}[n/len(churns)%2]
				got, err := readBy(n/6, s.path(c.name+view))
				switch {
				case errors.Is(err, syscall.EBUSY) ||
					err != nil && strings.Contains(got, "Device or resource busy"):
					busy.Add(1)
				case err != nil:
					t.Errorf("%s%s: %v: %.300s", c.name, view, err, got)
				case c.one && !known[got]:
					t.Errorf("%s%s: %d bytes are no map that ever was: %.200q", c.name, view,
						len(got), got)
				case view == ".map.json":
					checkList(t, c.name, got)
					reads.Add(1)
				case !strings.HasPrefix(got, "Offset  ") || !strings.HasSuffix(got, c.name+"\n") &&
					strings.Count(got, "\n") > 1:
					t.Errorf("%s%s: not a whole table: %.200q", c.name, view, got)
				default:
					reads.Add(1)
				}
			}
		})
	}
	wg.Go(func() {
		for !stop.Load() {
			s.bash("ls -l $M")
		}
	})
	await(t, "readers get maps", func() bool { return reads.Load() >= 300 })
	stop.Store(true)
	wg.Wait()
	t.Logf("%d maps, %d times EBUSY", reads.Load(), busy.Load())
	now := time.Now()
	for _, c := range churns {
		file := filepath.Join(source, c.name)
		if err := os.Chtimes(file, now, now); err != nil {
			t.Error(err)
		}
		for view, want := range mapsOf(t, real, file) {
			if got := s.read(c.name + view); got != want {
				t.Errorf("%s%s at rest: %.200q, want %.200q", c.name, view, got, want)
			}
		}
	}
}

// readBy reads a file in one of several ways; in case of an error the text may say which.
func readBy(way int, file string) (string, error) {
	programs := [][]string{nil, {"cat"}, nil, {"busybox", "cat"}, nil, {"head", "-c", "100000000"}}
	args := programs[way%len(programs)]
	if args == nil {
		b, err := os.ReadFile(file)
		return string(b), err
	}
	out, err := combined(append(slices.Clone(args), file))
	return out, err
}

// checkList checks that a text is a whole list of extents without gaps.
func checkList(t *testing.T, name, text string) {
	t.Helper()
	var list []struct{ Start, Length uint64 }
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) == 0 {
		t.Errorf("%s: %d extents, %v: %.200q", name, len(list), err, text)
		return
	}
	var at uint64
	for _, e := range list {
		if e.Start != at || e.Length == 0 && len(list) > 1 {
			t.Errorf("%s: an extent at %d of %d bytes behind one that ends at %d", name, e.Start,
				e.Length, at)
		}
		at = e.Start + e.Length
	}
	if at%512 != 0 {
		t.Errorf("%s: the list ends at %d", name, at)
	}
}

// An image that changes during each run is busy, and nothing of those runs is kept.
func TestBusyImage(t *testing.T) {
	source := t.TempDir()
	real := realTool(t)
	file := filepath.Join(source, "busy.qcow2")
	q := qcow2test.New(32<<20, 9) // takes a while
	for i := uint64(0); i < 64<<10; i += 2 {
		q.Sparse(i, 1)
	}
	writeImage(t, file, q)
	s := serve(t, source)
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := int64(0); !stop.Load(); n++ {
			if err := os.Chtimes(file, time.Time{}, time.Unix(n, 0)); err != nil {
				t.Error(err)
			}
		}
	})
	for _, view := range []string{".map.json", ".map.txt"} {
		await(t, "the image is busy", func() bool {
			_, err := os.ReadFile(s.path("busy.qcow2" + view))
			if err != nil && !errors.Is(err, syscall.EBUSY) {
				t.Errorf("%s: %v", view, err)
			}
			return errors.Is(err, syscall.EBUSY)
		})
	}
	reason := s.read("busy.qcow2.map.err")
	if want := fmt.Sprintf("map %s: the file changes while it is mapped: try again when its "+
		"writer is done\n", file); reason != want && reason != "" {
		t.Errorf("the reason is %q, want %q", reason, want)
	}
	stop.Store(true)
	wg.Wait()
	for view, want := range mapsOf(t, real, file) {
		if got := s.read("busy.qcow2" + view); got != want {
			t.Errorf("%s at rest: %.200q, want %.200q", view, got, want)
		}
	}
}

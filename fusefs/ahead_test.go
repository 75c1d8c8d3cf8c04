package fusefs

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The first stat in a directory has the other images mapped too, the listed ones, several at a time.
func TestMappingAhead(t *testing.T) {
	const images, delay = 40, 20 * time.Millisecond
	src := newFakeSource(t, delay)
	for n := range images {
		src.put(t, fmt.Sprintf("%02d.img", n), "s", 1000+int64(n))
	}
	src.put(t, "notes", "n", 10)
	src.put(t, "elsewhere/x.img", "x", 10)
	m := mountFake(t, src, nil)
	if got := command(t, "ls", "-l", m.dir); strings.Count(got, " 1039 ") != 2 {
		t.Errorf("ls -l: %s", got)
	}
	src.mu.Lock()
	most := src.most
	src.mu.Unlock()
	if most < 2 {
		t.Error("one run after the other")
	}
	time.Sleep(10 * delay)
	if n := src.runs.Load(); n != images {
		t.Errorf("%d runs for %d images", n, images)
	}
}

// A single open has one image mapped, a series of them the whole directory.
func TestMappingAheadOfOpens(t *testing.T) {
	src := newFakeSource(t, 5*time.Millisecond)
	for n := range 20 {
		src.put(t, fmt.Sprintf("%02d.img", n), "s", 1000)
	}
	m := mountFake(t, src, nil)
	command(t, "busybox", "cat", m.path("05.img.map.json"))
	time.Sleep(100 * time.Millisecond)
	if n := src.runs.Load(); n != 1 {
		t.Errorf("%d runs after one open", n)
	}
	command(t, "busybox", "cat", m.path("06.img.map.json"), m.path("07.img.map.json"))
	waitRuns(t, src, 20)
}

// Mapping ahead ends soon after the last request in the directory, and the runs that it began with
// it.
func TestMappingAheadEndsWithItsReason(t *testing.T) {
	src := newFakeSource(t, 300*time.Millisecond)
	for n := range 100 {
		src.put(t, fmt.Sprintf("%03d.img", n), "s", 1000)
	}
	m := mountFake(t, src, nil)
	command(t, "stat", m.path("050.img.map.json"))
	time.Sleep(visitLinger + time.Second)
	n := src.runs.Load()
	time.Sleep(time.Second)
	if after := src.runs.Load(); after != n || n > 50 {
		t.Errorf("%d runs two seconds after the only request, %d later", n, after)
	}
}

// While as many requests wait as there are processors nothing is done ahead of them.
func TestNothingAheadOfACrowd(t *testing.T) {
	a := &ahead{jobs: make(chan job, 1)}
	a.asked.Store(int64(max(2, runtime.GOMAXPROCS(0))))
	ctx, cancel := context.WithTimeout(t.Context(), 5*crowdPoll)
	defer cancel()
	if a.hand(ctx, job{}) || len(a.jobs) != 0 {
		t.Error("a job was begun")
	}
	time.AfterFunc(2*crowdPoll, func() { a.asked.Add(-1) })
	if !a.hand(t.Context(), job{}) || len(a.jobs) != 1 {
		t.Error("no job was begun when the crowd had gone")
	}
}

// Mapping ahead ends with the mount.
func TestMappingAheadStops(t *testing.T) {
	src := newFakeSource(t, 50*time.Millisecond)
	for n := range 200 {
		src.put(t, fmt.Sprintf("%03d.img", n), "s", 1000)
	}
	m := mountFake(t, src, nil)
	command(t, "stat", m.path("100.img.map.json"))
	if err := m.unmount(); err != nil {
		t.Error(err)
	}
	n := src.runs.Load()
	time.Sleep(300 * time.Millisecond)
	if after := src.runs.Load(); after > n+1 || n > 100 {
		t.Errorf("%d runs at unmount, %d later", n, after)
	}
}

package fusefs

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"instarfs/fusefs/view"
)

// putMany makes images called 000.img, 001.img and so on, of 1000, 1001 and so on bytes.
func putMany(t *testing.T, src *fakeSource, images int) {
	t.Helper()
	for n := range images {
		src.put(t, fmt.Sprintf("%03d.img", n), "s", 1000+int64(n))
	}
}

// endless are runs that end only when nobody waits for them, but for that of one image.
func endless(but string) func(context.Context, string) {
	return func(ctx context.Context, path string) {
		if path != but {
			<-ctx.Done()
		}
	}
}

// The first stat in a directory makes the other listed images be mapped too, several at a time.
func TestMappingAhead(t *testing.T) {
	const images = 40
	src := newFakeSource(t, 0)
	putMany(t, src, images)
	src.put(t, "notes", "n", 10)
	src.put(t, "elsewhere/x.img", "x", 10)
	var begun atomic.Int64
	two := make(chan struct{})
	src.during = func(context.Context, string) {
		if begun.Add(1) == 2 {
			close(two)
		}
		select {
		case <-two:
		case <-time.After(giveUp):
			t.Error("one run after the other")
		}
	}
	m := mountFake(t, src, nil)
	if got := command(t, "ls", "-l", m.dir); strings.Count(got, " 1039 ") != len(view.Listed) {
		t.Errorf("ls -l: %s", got)
	}
	if err := m.unmount(); err != nil {
		t.Error(err)
	}
	if n := src.runs.Load(); n != images {
		t.Errorf("%d runs for %d images", n, images)
	}
}

// A single open makes one image be mapped, a series of them the whole directory.
func TestMappingAheadOfOpens(t *testing.T) {
	src := newFakeSource(t, 0)
	putMany(t, src, 20)
	m := mountFake(t, src, nil)
	command(t, "busybox", "cat", m.path("005.img.map.json"))
	time.Sleep(100 * time.Millisecond) // for runs that there must not be
	if n := src.runs.Load(); n != 1 {
		t.Errorf("%d runs after one open", n)
	}
	// Two opens are a series if they follow each other soon, which a slow machine may need tries
	// for.
	for opened := int64(1); src.runs.Load() <= opened; opened += 2 {
		if opened+2 > 19 {
			t.Fatal("no image was mapped but those that were opened")
		}
		n := 6 + opened
		command(t, "busybox", "cat", m.path(fmt.Sprintf("%03d.img.map.json", n%20)),
			m.path(fmt.Sprintf("%03d.img.map.json", (n+1)%20)))
		time.Sleep(100 * time.Millisecond) // for runs that there must be, on some try
	}
}

// Mapping ahead ends soon after the last request in the directory, and the runs that it began with
// it.
func TestMappingAheadEndsWithItsReason(t *testing.T) {
	src := newFakeSource(t, 0)
	putMany(t, src, 100)
	src.during = endless("050.img")
	m := mountFake(t, src, nil)
	command(t, "stat", m.path("050.img.map.json"))
	waitRuns(t, src, 2)
	if !eventually(func() bool { return src.underWay() == 0 }) {
		t.Error("mapping ahead goes on although nobody asks")
	}
	if n := src.runs.Load(); n > 50 {
		t.Errorf("%d runs, of which none but one ended before all did", n)
	}
}

// Mapping ahead ends with the mount.
func TestMappingAheadStops(t *testing.T) {
	src := newFakeSource(t, 0)
	putMany(t, src, 200)
	src.during = endless("100.img")
	m := mountFake(t, src, nil)
	command(t, "stat", m.path("100.img.map.json"))
	waitRuns(t, src, 2)
	if err := m.unmount(); err != nil {
		t.Error(err)
	}
	if !eventually(func() bool { return src.underWay() == 0 }) {
		t.Error("mapping ahead goes on after the mount")
	}
	if n := src.runs.Load(); n > 100 {
		t.Errorf("%d runs, of which none but one ended before all did", n)
	}
}

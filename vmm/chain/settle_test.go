package chain

import (
	"bytes"
	"context"
	"errors"
	"instarfs/guest/img"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnsettled(t *testing.T) {
	const second, ms = time.Second, time.Millisecond
	at := func(ns int64) unix.Timespec { return unix.NsecToTimespec(ns) }
	for _, test := range []struct {
		name         string
		mtime, ctime int64 // ns
		now          int64
		want         time.Duration
	}{
		{"fine, just written", 1e9 + 1, 1e9 + 1, 1e9 + 1, quiet},
		{"fine, old", 1e9 + 1, 1e9 + 1, 9e9, -1},
		{"fine, old bytes, new owner", 1e9 + 1, 9e9 + 5, 9e9 + 5, quiet},
		{"fine, a set time", 1e9, 9e9 + 5, 9e9 + 5, quiet},
		{"fine, a time in the future", 99e9, 9e9 + 5, 9e9 + 6, quiet},
		{"fine, no change time", 9e9 + 5, 0, 9e9 + 5, quiet},
		{"seconds, the tick begins", 9e9, 9e9, 9e9, second + quiet},
		{"seconds, the tick ends", 9e9, 9e9, 9e9 + 999e6, quiet + ms},
		{"seconds, the kernel's clock lags", 9e9, 9e9, 10e9 + 29e6, ms},
		{"seconds, old", 9e9, 9e9, 10e9 + 30e6, 0},
		{"seconds, a set time", 4e9, 9e9, 9e9, second + quiet},
		{"seconds, a time in the future", 99e9, 9e9, 20e9, second + quiet},
		{"seconds, no change time", 9e9, 0, 9e9, second + quiet},
		{"two seconds", 8e9, 8e9, 9e9, second + quiet},
		{"two seconds, old", 8e9, 8e9, 10e9 + 30e6, 0},
		{"two seconds, a clock ahead", 8e9, 8e9, 5e9, 2*second + quiet},
	} {
		st := &unix.Stat_t{Mtim: at(test.mtime), Ctim: at(test.ctime)}
		got := unsettled(st, time.Unix(0, test.now))
		if got != test.want && !(test.want < 0 && got < 0) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// coarseMount mounts a file system whose times have ticks of one second, for the duration of the
// test.
func coarseMount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file, point := filepath.Join(dir, "fs"), filepath.Join(dir, "mnt")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 64<<20), os.Mkdir(point, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"/sbin/mkfs.ext4", "-q", "-I", "128", file}, {"mount", "-o", "loop", file, point}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v, %s", args, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", point).CombinedOutput(); err != nil {
			t.Errorf("umount: %v, %s", err, out)
		}
	})
	return point
}

// TestCoarseTimes: a file that changes within a tick of its file system's clock, and looks like
// before, is not shown by its old map.
func TestCoarseTimes(t *testing.T) {
	name := filepath.Join(coarseMount(t), "disk.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// write returns the second that the file has changed in.
	write := func(i int) int64 {
		if _, err := f.WriteAt(bytes.Repeat([]byte{byte(i)}, 1<<16), 0); err != nil {
			t.Error(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime().Unix()
	}
	e := NewEngine(lastByte{}, Access{}, Limits{Cache: 1 << 20})
	shown := func() (written int) {
		r, err := e.MapFile(t.Context(), name, Options{Window: img.Whole})
		if err != nil {
			t.Error(err)
			return 0
		}
		return int(r.Map.At(0).Offset)
	}
	for i, tries := 0, 0; i < 3; tries++ {
		if tries == 30 {
			t.Fatal("two writes never fall into one second")
		}
		// The first map is asked for between two writes of one second.
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + 20*time.Millisecond)))
		begun := write(10*i + 1)
		first := make(chan int)
		go func() { first <- shown() }()
		time.Sleep(300 * time.Millisecond)
		together := write(10*i+2) == begun
		got := <-first
		if !together {
			continue // the machine was too slow
		}
		if got != 10*i+2 {
			t.Errorf("round %d: the map that was asked for between two writes is that of %d", i, got)
		}
		if got := shown(); got != 10*i+2 {
			t.Errorf("round %d: after both writes the map is that of %d", i, got)
		}
		i++
	}
}

// TestSettleGivesUp: whoever leaves need not wait for a tick.
func TestSettleGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := unix.NsecToTimespec(time.Now().Truncate(2 * time.Second).UnixNano())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		err := (&image{fd: -1, st: unix.Stat_t{Mtim: now, Ctim: now}}).settle(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

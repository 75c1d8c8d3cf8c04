package chain

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"instarfs/guest/extent"
	"instarfs/needs"
	"instarfs/vmm/session"
)

// lastByte is a runner whose map of a file is the file's last byte, as an offset.
type lastByte struct{}

func (lastByte) Run(_ context.Context, job *session.Job) (*session.Layer, error) {
	var b [1]byte
	if _, err := job.Image.ReadAt(context.Background(), b[:], int64(job.Size)-1); err != nil {
		return nil, err
	}
	out := extent.NewBuilder(0, job.Size, 0)
	e := extent.Extent{Length: job.Size, Offset: uint64(b[0]),
		State: extent.State{Flags: extent.Present | extent.Data | extent.Offset}}
	if err := out.Add(e); err != nil {
		return nil, err
	}
	m, err := out.Finish(nil)
	return &session.Layer{Map: m, VirtualSize: job.Size}, err
}

// TestMapDuringWrite: the kernel notes the time of a write(2) before it copies the bytes. What is
// read in between is not what the file has under its new identity, and must not be kept for it.
func TestMapDuringWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := NewEngine(lastByte{}, Access{}, Limits{Cache: 1 << 20})
	write := func(i int) {
		if _, err := f.WriteAt(bytes.Repeat([]byte{byte(i)}, 16<<20), 0); err != nil {
			t.Error(err)
		}
	}
	write(0)
	for i := 1; i <= 20; i++ {
		ctx, stop := context.WithCancel(t.Context())
		reader := make(chan struct{})
		go func() {
			defer close(reader)
			for ctx.Err() == nil {
				// That the file keeps changing is no wonder.
				_, _ = e.MapFile(ctx, name, whole)
			}
		}()
		write(i)
		stop()
		<-reader
		r, err := e.MapFile(t.Context(), name, whole)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Map.At(0).Offset; got != uint64(i) {
			t.Fatalf("after write %d the map is that of write %d", i, got)
		}
	}
}

// coarseMount mounts a file system whose times have ticks of one second, for the duration of the
// test.
func coarseMount(t *testing.T) string {
	t.Helper()
	needs.LoopMount(t)
	dir := t.TempDir()
	file, point := filepath.Join(dir, "fs"), filepath.Join(dir, "mnt")
	err := errors.Join(
		os.WriteFile(file, nil, 0o600), os.Truncate(file, 64<<20), os.Mkdir(point, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"/sbin/mkfs.ext4", "-q", "-I", "128", file},
		{"mount", "-o", "loop", file, point}} {
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
	// write returns the second in which the file has changed.
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
		r, err := e.MapFile(t.Context(), name, whole)
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
		second := time.Now().Truncate(time.Second)
		time.Sleep(time.Until(second.Add(time.Second + 20*time.Millisecond)))
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
			t.Errorf("round %d: the map that was asked for between two writes is that of %d",
				i, got)
		}
		if got := shown(); got != 10*i+2 {
			t.Errorf("round %d: after both writes the map is that of %d", i, got)
		}
		i++
	}
}

package chain

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/img"
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
	e := extent.Extent{Length: job.Size, Offset: uint64(b[0]), State: extent.State{Flags: extent.Present | extent.Data | extent.Offset}}
	if err := out.Add(e); err != nil {
		return nil, err
	}
	m, err := out.Finish(nil)
	return &session.Layer{Map: m, VirtualSize: job.Size}, err
}

// TestMapDuringWrite: the kernel notes the time of a write(2) before it copies the bytes. What is read in between is not what
// the file has under its new identity, and must not be kept for it.
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
				_, _ = e.MapFile(ctx, name, Options{Window: img.Whole})
			}
		}()
		write(i)
		stop()
		<-reader
		r, err := e.MapFile(t.Context(), name, Options{Window: img.Whole})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Map.At(0).Offset; got != uint64(i) {
			t.Fatalf("after write %d the map is that of write %d", i, got)
		}
	}
}

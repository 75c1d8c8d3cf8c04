package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// file is an image whose bytes are nowhere in memory.
type file func(p []byte, off int64) (int, error)

func (file) Peek([]byte, int64) bool { return false }

func (f file) ReadAt(_ context.Context, p []byte, off int64) (int, error) { return f(p, off) }

// counting returns n bytes of which no two neighbours are alike.
func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i%251 + 1)
	}
	return b
}

// testMeter measures a run of the test's.
func testMeter(t *testing.T, b Budget) *Meter {
	t.Helper()
	ticket, err := NewHost(Options{Budget: b}).Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ticket.Leave)
	m := ticket.Meter(t.Context(), func() {})
	t.Cleanup(m.Stop)
	return m
}

func testDisk(t *testing.T, b Budget, image Image, size int) *Disk {
	t.Helper()
	return newDisk(testMeter(t, b), &Job{Image: image, Size: uint64(size)}, 4096)
}

// TestTail: the last sector of an image that does not fill it reads as zeroes past the end, and
// there is nothing after it.
func TestTail(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 513, 1000, 1023, 1024} {
		image := counting(size)
		d := testDisk(t, Budget{}, file(bytes.NewReader(image).ReadAt), size)
		sectors := (size + 511) / 512
		if d.Sectors() != uint64(sectors) || d.BlockSize() != 4096 {
			t.Error(size, d.Sectors(), d.BlockSize())
		}
		buf := bytes.Repeat([]byte{0xee}, sectors*512)
		ok, err := d.ReadSectors(buf, 0)
		want := append(append([]byte(nil), image...), make([]byte, sectors*512-size)...)
		if !ok || err != nil || !bytes.Equal(buf, want) {
			t.Errorf("%d bytes: %v, %v", size, ok, err)
		}
		for _, at := range []uint64{uint64(sectors), uint64(sectors) + 1, 1 << 63} {
			if ok, err := d.ReadSectors(make([]byte, 512), at); ok || err != nil {
				t.Errorf("%d bytes: sector %d: %v, %v", size, at, ok, err)
			}
		}
	}
}

func TestReadsAreWholeSectors(t *testing.T) {
	d := testDisk(t, Budget{}, file(bytes.NewReader(counting(4096)).ReadAt), 4096)
	for _, n := range []int{1, 511, 513, 4097} {
		if ok, err := d.ReadSectors(make([]byte, n), 0); ok || err != nil {
			t.Errorf("%d bytes: %v, %v", n, ok, err)
		}
	}
}

// TestImageFails: a short read is never filled up with zeroes. It is not ok for the guest, and the
// host keeps the first one with its place.
func TestImageFails(t *testing.T) {
	for _, test := range []struct {
		name string
		read file
		want error
	}{
		{"short", func(p []byte, _ int64) (int, error) { return len(p) - 1, io.EOF },
			io.ErrUnexpectedEOF},
		{"short without an error", func(p []byte, _ int64) (int, error) { return len(p) - 1, nil },
			io.ErrUnexpectedEOF},
		{"nothing", func([]byte, int64) (int, error) { return 0, io.EOF }, io.ErrUnexpectedEOF},
		{"errno", func([]byte, int64) (int, error) { return 0, unix.EIO }, unix.EIO},
		{"wrapped", func([]byte, int64) (int, error) { return 0, fmt.Errorf("x: %w", unix.ESTALE) },
			unix.ESTALE},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := testDisk(t, Budget{}, test.read, 1<<20)
			if ok, err := d.ReadSectors(make([]byte, 1024), 5); ok || err != nil {
				t.Error(ok, err)
			}
			if ok, err := d.ReadSectors(make([]byte, 512), 9); ok || err != nil {
				t.Error(ok, err)
			}
			if !errors.Is(d.failed, test.want) ||
				!strings.Contains(d.failed.Error(), "read of 1024 bytes at offset 2560: ") {
				t.Error(d.failed)
			}
		})
	}
	// All bytes and an error are all bytes.
	d := testDisk(t, Budget{}, file(func(p []byte, _ int64) (int, error) { return len(p), io.EOF }),
		512)
	if ok, err := d.ReadSectors(make([]byte, 512), 0); !ok || err != nil || d.failed != nil {
		t.Error(ok, err, d.failed)
	}
}

func TestReadLimit(t *testing.T) {
	b := DefaultBudget
	b.Read = 1024
	d := testDisk(t, b, file(bytes.NewReader(counting(4096)).ReadAt), 4096)
	for range 2 {
		if ok, err := d.ReadSectors(make([]byte, 512), 0); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if _, err := d.ReadSectors(make([]byte, 512), 0); !errors.Is(err, ErrReadLimit) ||
		!strings.Contains(err.Error(), "1024 bytes") {
		t.Fatal(err)
	}
	if d.read != 1024 {
		t.Error(d.read)
	}
}

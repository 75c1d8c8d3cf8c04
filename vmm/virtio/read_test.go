package virtio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
)

// TestTail: the last sector of an image that does not fill it reads as zeroes beyond the end, and nothing else does.
func TestTail(t *testing.T) {
	for _, size := range []int{1, 511, 512, 513, 1000, 1023, 1024} {
		image := counting(size)
		d := newDriver(t, 8, image)
		sectors := uint32((size + 511) / 512)
		copy(d.at(dataAt), bytes.Repeat([]byte{0xee}, 2048))
		d.request(0, abi.BlkTypeIn, 0, dataAt, sectors*512)
		d.serve(0)
		want := append(append([]byte(nil), image...), make([]byte, int(sectors)*512-size)...)
		if got := d.at(dataAt)[:len(want)]; d.status(0) != abi.BlkStatusOK || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: status %d", size, d.status(0))
		}
		if d.at(dataAt)[len(want)] != 0xee {
			t.Errorf("%d bytes: more was written than asked for", size)
		}
		d.request(0, abi.BlkTypeIn, uint64(sectors), dataAt, 512)
		d.serve(0)
		if d.status(0) != abi.BlkStatusIOErr {
			t.Errorf("%d bytes: a read behind the last sector has status %d", size, d.status(0))
		}
	}
}

// TestBackendFailures: a short read is never filled up with zeroes. It is an error for the guest, and the host keeps the
// first one with its place.
func TestBackendFailures(t *testing.T) {
	for _, test := range []struct {
		name string
		read reader
		want error
	}{
		{"short", func(p []byte, _ int64) (int, error) { return len(p) - 1, io.EOF }, io.ErrUnexpectedEOF},
		{"short without an error", func(p []byte, _ int64) (int, error) { return len(p) - 1, nil }, io.ErrUnexpectedEOF},
		{"nothing", func([]byte, int64) (int, error) { return 0, io.EOF }, io.ErrUnexpectedEOF},
		{"errno", func([]byte, int64) (int, error) { return 0, unix.EIO }, unix.EIO},
		{"wrapped", func([]byte, int64) (int, error) { return 0, fmt.Errorf("x: %w", unix.ESTALE) }, unix.ESTALE},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDriver(t, 8, nil)
			d.Attach(Backend{Image: test.read, Size: 1 << 20, ReadLimit: 1 << 20})
			d.request(0, abi.BlkTypeIn, 5, dataAt, 1024)
			d.request(3, abi.BlkTypeIn, 9, dataAt, 512)
			d.serve(0, 3)
			if d.status(0) != abi.BlkStatusIOErr || d.status(3) != abi.BlkStatusIOErr {
				t.Error(d.status(0), d.status(3))
			}
			err := d.Failed()
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), "read of 1024 bytes at offset 2560: ") {
				t.Errorf("%v", err)
			}
			d.Attach(Backend{Image: test.read, Size: 1 << 20})
			if d.Failed() != nil || d.BytesRead() != 0 {
				t.Error("the next run inherits", d.Failed(), d.BytesRead())
			}
		})
	}
	// All bytes and an error are all bytes.
	d := newDriver(t, 8, nil)
	d.Attach(Backend{Image: reader(func(p []byte, _ int64) (int, error) { return len(p), io.EOF }), Size: 512, ReadLimit: 512})
	d.request(0, abi.BlkTypeIn, 0, dataAt, 512)
	d.serve(0)
	if d.status(0) != abi.BlkStatusOK || d.Failed() != nil {
		t.Error(d.status(0), d.Failed())
	}
}

func TestReadLimit(t *testing.T) {
	d := newDriver(t, 8, counting(4096))
	d.Attach(Backend{Image: bytes.NewReader(counting(4096)), Size: 4096, ReadLimit: 1024})
	d.request(0, abi.BlkTypeIn, 0, dataAt, 512)
	d.serve(0)
	d.serve(0)
	d.offer(0)
	if err := d.notify(); !errors.Is(err, ErrReadLimit) || !strings.Contains(err.Error(), "1024 bytes") {
		t.Fatal(err)
	}
	if d.BytesRead() != 1024 {
		t.Error(d.BytesRead())
	}
}

// TestNoImage: a guest that notifies before a run has begun reads nothing.
func TestNoImage(t *testing.T) {
	d := newDriver(t, 8, nil)
	d.Detach()
	d.request(0, abi.BlkTypeIn, 0, dataAt, 0)
	d.request(3, abi.BlkTypeIn, 0, dataAt, 512)
	d.serve(0, 3)
	if d.status(0) != abi.BlkStatusOK || d.status(3) != abi.BlkStatusIOErr {
		t.Error(d.status(0), d.status(3))
	}
}

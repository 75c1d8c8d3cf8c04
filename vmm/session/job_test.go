package session

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/img"
)

// cached is an image of which some pieces of the mirror are in memory. It notes what it is asked
// for.
type cached struct {
	b      []byte
	have   uint32
	peeked []string
}

func (c *cached) Peek(p []byte, off int64) bool {
	c.peeked = append(c.peeked, fmt.Sprintf("%#x+%#x", off, len(p)))
	if c.have>>(off/abi.MirrorStride)&1 == 0 {
		if len(p) > 0 {
			p[0] = 0xee // what a short read leaves
		}
		return false
	}
	return copy(p, c.b[off:]) == len(p)
}

func (c *cached) ReadAt(context.Context, []byte, int64) (int, error) {
	return 0, io.ErrUnexpectedEOF
}

func TestMirror(t *testing.T) {
	const stride, piece = abi.MirrorStride, abi.MirrorPieceLen
	disk := make([]byte, 10*stride)
	for i := range disk {
		disk[i] = byte(i/512 + 1)
	}
	for _, test := range []struct {
		name   string
		size   int
		sector uint32
		format img.Format
		have   uint32
		want   uint32
		peeked []string
	}{
		{"all", 10 * stride, 4096, 0, 0xff, 0xff,
			[]string{"0x0+0x1000", "0x10000+0x1000", "0x20000+0x1000", "0x30000+0x1000",
				"0x40000+0x1000", "0x50000+0x1000", "0x60000+0x1000", "0x70000+0x1000"}},
		{"large first block", stride, 65536, 0, 1, 1, []string{"0x0+0x10000"}},
		{"not in memory", 2*stride + 1, 512, 2, 0, 0,
			[]string{"0x0+0x200", "0x10000+0x1000", "0x20000+0x1"}},
		{"some in memory", 3 * stride, 512, 2, 2, 2,
			[]string{"0x0+0x200", "0x10000+0x1000", "0x20000+0x1000"}},
		{"short image", 100, 65536, 0, 1, 1, []string{"0x0+0x64"}},
		{"empty image", 0, 65536, 0, 1, 0, nil},
		{"raw that is forced", 10 * stride, 65536, 1, 0xff, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			image := &cached{b: disk[:test.size], have: test.have}
			job := Job{Image: image, Size: uint64(test.size), SectorSize: test.sector,
				Format: test.format}
			c, err := job.config()
			if err != nil {
				t.Fatal(err)
			}
			mirror := make([]byte, abi.MirrorLen)
			err = job.Mirror(&c,
				func(off, n uint64) ([]byte, error) { return mirror[off : off+n], nil })
			if err != nil || c.Mirror != test.want ||
				fmt.Sprint(image.peeked) != fmt.Sprint(test.peeked) {
				t.Errorf("mirror %b, %v, asked for %v; want %b, %v", c.Mirror, err, image.peeked,
					test.want, test.peeked)
			}
			for i, n := range c.MirrorLens() {
				length := uint64(piece)
				if i == 0 {
					length = uint64(test.sector)
				}
				if c.Mirror>>i&1 == 0 {
					length = 0
				} else {
					length = min(length, uint64(test.size-i*stride))
				}
				if n != length || !bytes.Equal(mirror[i*stride:][:n], disk[i*stride:][:n]) {
					t.Errorf("piece %d has %d bytes, want %d, or others", i, n, length)
				}
			}
		})
	}
}

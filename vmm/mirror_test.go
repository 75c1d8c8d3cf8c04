package vmm

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/img"
	"instarfs/vmm/virtio"
)

// cached is an image of which some pieces of the mirror are in memory. It counts what it is asked for.
type cached struct {
	ram
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
	n, err := c.ram.ReadAt(context.Background(), p, off)
	return err == nil && n == len(p)
}

// testMachine is a machine without a processor.
func testMachine(t *testing.T) *machine {
	p := testPaging(t)
	w := window{p.mem, abi.SharedGPA, abi.RAMLen}
	return &machine{mem: p.mem, disk: virtio.NewBlock(w), proc: &process{pages: p}}
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
		{"all", 10 * stride, 4096, 0, 0xff, 0xff, []string{"0x0+0x1000", "0x10000+0x1000", "0x20000+0x1000", "0x30000+0x1000", "0x40000+0x1000", "0x50000+0x1000", "0x60000+0x1000", "0x70000+0x1000"}},
		{"large first block", stride, 65536, 0, 1, 1, []string{"0x0+0x10000"}},
		{"not in memory", 2*stride + 1, 512, 2, 0, 0, []string{"0x0+0x200", "0x10000+0x1000", "0x20000+0x1"}},
		{"some in memory", 3 * stride, 512, 2, 2, 2, []string{"0x0+0x200", "0x10000+0x1000", "0x20000+0x1000"}},
		{"short image", 100, 65536, 0, 1, 1, []string{"0x0+0x64"}},
		{"empty image", 0, 65536, 0, 1, 0, nil},
		{"raw that is forced", 10 * stride, 65536, 1, 0xff, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := testMachine(t)
			image := &cached{ram: disk[:test.size], have: test.have}
			job := &Job{Image: image, Size: uint64(test.size), SectorSize: test.sector, Format: test.format}
			if err := m.configure(&meter{}, job); err != nil {
				t.Fatal(err)
			}
			c, err := abi.DecodeConfig(m.mem.b[abi.SharedGPA+abi.ConfigOffset:])
			if err != nil || c.Mirror != test.want || fmt.Sprint(image.peeked) != fmt.Sprint(test.peeked) {
				t.Errorf("mirror %b, %v, asked for %v; want %b, %v", c.Mirror, err, image.peeked, test.want, test.peeked)
			}
			for i := range uint64(abi.MirrorPieces) {
				length := uint64(piece)
				if i == 0 {
					length = uint64(test.sector)
				}
				if c.Mirror>>i&1 == 0 {
					continue
				}
				length = min(length, uint64(test.size)-i*stride)
				at := abi.SharedGPA + abi.MirrorOffset + i*stride
				if !bytes.Equal(m.mem.b[at:at+length], disk[i*stride:i*stride+length]) {
					t.Errorf("piece %d has other bytes", i)
				}
				// What the host writes it must take back: the guest's log of dirty pages does not have it.
				for p := at / pageLen; p*pageLen < at+length; p++ {
					if m.mem.host[p/64]>>(p%64)&1 == 0 {
						t.Errorf("page %#x is not marked", p*pageLen)
					}
				}
			}
		})
	}
}

// TestMirrorIsForgotten: the real guest maps by what is in the mirror, and by the next image's bytes in the next run.
func TestMirrorIsForgotten(t *testing.T) {
	p := agentPool(t, 1)
	qcow2 := make([]byte, 1<<20)
	copy(qcow2, "QFI\xfb\x00\x00\x00\x09") // a version that does not exist
	raw := make([]byte, 1<<20)
	for i := range 4 {
		for _, have := range []uint32{0, 1, 0xff} {
			_, err := p.Run(t.Context(), &Job{Image: &cached{ram: qcow2, have: have}, Size: 1 << 20})
			if err == nil || err.Error() != "version at offset 4: Unsupported qcow2 version 9" {
				t.Errorf("run %d: %v", i, err)
			}
			l, err := p.Run(t.Context(), &Job{Image: &cached{ram: raw, have: have}, Size: 1 << 20})
			if err := checkRaw(l, err, 1<<20); err != nil {
				t.Errorf("run %d: %v", i, err)
			}
		}
	}
}

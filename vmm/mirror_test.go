package vmm

import (
	"context"
	"fmt"
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/img"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
	"instarfs/vmm/virtio"
)

// cached is an image of which some pieces of the mirror are in memory. It counts what it is asked
// for.
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

// TestMirrorIsTakenBack: what the host writes into the mirror must be reset, and the guest's log of
// dirty pages does not have it.
func TestMirrorIsTakenBack(t *testing.T) {
	p := testPaging(t)
	w := p.Memory.Shared()
	m := &machine{mem: p.Memory, disk: virtio.NewBlock(w), proc: &process{pages: p}}
	job := &session.Job{Window: img.Whole,
		Image: &cached{ram: make(ram, 10*abi.MirrorStride), have: 0xff},
		Size:  10 * abi.MirrorStride}
	c := abi.Config{SectorSize: 4096, DeviceSize: job.Size}
	if err := m.Start(&c, job, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := abi.DecodeConfig(m.mem.Bytes[abi.SharedGPA+abi.ConfigOffset:]); err != nil ||
		got != c || c.Mirror != 0xff {
		t.Errorf("%+v, %v, want %+v", got, err, c)
	}
	for i := range uint64(abi.MirrorPieces) {
		at := abi.SharedGPA + abi.MirrorOffset + i*abi.MirrorStride
		for p := at / space.PageLen; p*space.PageLen < at+c.MirrorPiece(i); p++ {
			if m.mem.Host[p/64]>>(p%64)&1 == 0 {
				t.Errorf("page %#x is not marked", p*space.PageLen)
			}
		}
	}
}

// TestMirrorIsForgotten: the real guest maps by what is in the mirror, and by the next image's
// bytes in the next run.
func TestMirrorIsForgotten(t *testing.T) {
	p := agentPool(t, 1)
	qcow2 := make([]byte, 1<<20)
	copy(qcow2, "QFI\xfb\x00\x00\x00\x09") // a version that does not exist
	raw := make([]byte, 1<<20)
	for i := range 4 {
		for _, have := range []uint32{0, 1, 0xff} {
			_, err := p.Run(t.Context(),
				&session.Job{Window: img.Whole, Image: &cached{ram: qcow2, have: have},
					Size: 1 << 20})
			if err == nil || err.Error() != "version at offset 4: Unsupported qcow2 version 9" {
				t.Errorf("run %d: %v", i, err)
			}
			l, err := p.Run(t.Context(),
				&session.Job{Window: img.Whole, Image: &cached{ram: raw, have: have},
					Size: 1 << 20})
			if err := checkRaw(l, err, 1<<20); err != nil {
				t.Errorf("run %d: %v", i, err)
			}
		}
	}
}

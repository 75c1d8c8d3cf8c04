package virtio

import (
	"errors"
	"testing"

	"instarfs/guest/abi"
)

// FuzzDevice lets a guest write anything into the memory that the device looks at, and anything
// into its registers. The device never panics, never reads outside of the image, and does work in
// proportion to what it read and to the queue.
//
// The input is a list of writes, seven bytes each: where to (a register, or memory when the highest
// bit is set), and what.
func FuzzDevice(f *testing.F) {
	notify := []byte{0, abi.QueueNotify, 0, 0, 0, 0, 0}
	f.Add([]byte{}, false)
	f.Add(notify, true)
	// Change each field of a good request, then notify.
	for _, at := range []uint16{0, 8, 12, 14, 16, 24, 28, 32, 44, 0x1002, 0x1004, 0x2002, 0x3000,
		0x3008} {
		f.Add(append([]byte{byte(at>>8) | 0x80, byte(at), 0xff, 0xff, 0, 0, 0}, notify...), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, up bool) {
		const size = 10_000
		reads, steps := uint64(0), uint64(1)
		image := reader(func(p []byte, off int64) (int, error) {
			if off < 0 || uint64(off)+uint64(len(p)) > size {
				t.Fatalf("read of %d bytes at %d of an image of %d", len(p), off, size)
			}
			reads += uint64(len(p))
			for i := range p {
				p[i] = byte(off) + byte(i)
			}
			return len(p), nil
		})
		d := &driver{mem: newRAM(), t: t, num: 8}
		d.Block = NewBlock(d.mem)
		if up {
			d = newDriver(t, 8, nil)
			d.request(0, abi.BlkTypeIn, 0, dataAt, 512)
			d.request(3, abi.BlkTypeIn, 19, dataAt, 512)
			d.offer(0, 3)
		}
		const limit = 1 << 16
		disk := &disk{image, size, 512, limit, 0}
		d.Attach(disk)
		for ; len(in) >= 7; in = in[7:] {
			to, v := uint64(in[0])<<8|uint64(in[1]), uint64(le.Uint32(in[2:]))
			var err error
			if to&0x8000 != 0 {
				le.PutUint32(d.mem.b[to&0x7fff:], uint32(v))
			} else if err = d.Store(to&0xfff, 4, v); err == nil && in[6]&1 != 0 {
				_, err = d.Load(to&0xfff, 4)
			}
			var p *ProtocolError
			if errors.Is(err, errLimit) || errors.As(err, &p) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			steps++
		}
		if reads > limit {
			t.Fatalf("%d bytes were read of a limit of %d", reads, limit)
		}
		// A notification looks at three rings of up to 26 KiB, and for each of 1024 chains at a
		// header and, beside what it reads, at one buffer that fails.
		if most := steps * (26<<10 + abi.QueueSize*(17+ramLen)); d.mem.asked > most+2*limit {
			t.Fatalf("%d bytes of memory were asked for in %d steps", d.mem.asked, steps)
		}
	})
}

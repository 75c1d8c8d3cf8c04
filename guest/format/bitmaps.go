package format

import (
	"math/bits"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
)

// The most that waits for one batch of reads.
const (
	bitmapReqs   = 256
	bitmapRanges = 512
)

// Bitmaps emits ranges of a virtual disk in order. A bitmap on the device may say of each
// sector of a range whether the file has it (1) or not (0). The bitmaps of many ranges are read
// at once: until then the ranges wait.
type Bitmaps struct {
	Dev        block.Device
	Buf        []byte // memory for bits, from Dev: none if there are no bitmaps
	SectorSize uint64 // bytes of the disk that a bit stands for
	HighFirst  bool   // bit 0 is the highest bit of a byte, not the lowest
	Sink       Sink
	Pos        uint64 // virtual byte at which the next range starts

	done   uint64 // virtual byte at which the first range that waits starts
	filled int    // bytes of Buf in use
	reqs   []block.Request
	ranges []Range
}

// Range is a part of the disk that starts where the range before it ends.
type Range struct {
	End   uint64 // virtual bytes
	Flags extent.Flags
	Host  uint64       // device offset of the start, if Flags has extent.Offset
	Bad   *fault.Fault // the range is corrupt

	bits []byte // of a range with a bitmap
	base uint64 // virtual byte that bit 0 of bits stands for
}

// plain reports whether r has the same state everywhere, and no place.
func (r *Range) plain() bool { return r.Flags&extent.Offset == 0 && r.Bad == nil }

// Add emits a range without a bitmap, now if nothing waits.
func (b *Bitmaps) Add(r Range) *fault.Fault {
	if len(b.ranges) == 0 {
		b.done = b.Pos
		b.emit(&r)
		b.Pos = r.End
		return nil
	}
	if last := &b.ranges[len(b.ranges)-1]; last.plain() && r.plain() && last.Flags == r.Flags {
		last.End, b.Pos = r.End, r.End
		return nil
	}
	return b.wait(r, 0, 0)
}

// AddBits emits a range whose bitmap is at device offset off. Its bit 0 stands for virtual byte
// base. Where the file does not have a sector, the range has no flags. The bits of the range
// must fit in Buf.
func (b *Bitmaps) AddBits(r Range, base, off uint64) *fault.Fault {
	reach := 8 * b.SectorSize // of a byte
	first, last := (b.Pos-base)/reach, (r.End-1-base)/reach
	r.base = base + first*reach
	return b.wait(r, off+first, int(last-first+1))
}

// wait adds a range to those that wait, with n bytes of bits at device offset off.
func (b *Bitmaps) wait(r Range, off uint64, n int) *fault.Fault {
	if b.ranges == nil {
		b.reqs = make([]block.Request, 0, bitmapReqs)
		b.ranges = make([]Range, 0, bitmapRanges)
	}
	if len(b.ranges) == cap(b.ranges) || len(b.reqs) == cap(b.reqs) || b.filled+n > len(b.Buf) {
		if f := b.Flush(); f != nil {
			return f
		}
	}
	if len(b.ranges) == 0 {
		b.done = b.Pos
	}
	if n > 0 {
		r.bits = b.Buf[b.filled : b.filled+n]
		b.reqs = append(b.reqs, block.Request{Off: off, Buf: r.bits})
		b.filled += n
	}
	b.ranges = append(b.ranges, r)
	b.Pos = r.End
	return nil
}

// Flush reads the bitmaps and emits the ranges that wait. The walk must end with it.
func (b *Bitmaps) Flush() *fault.Fault {
	if len(b.reqs) > 0 {
		if f := b.Dev.Read(b.reqs); f != nil {
			return f
		}
	}
	for i := range b.ranges {
		b.emit(&b.ranges[i])
	}
	b.filled, b.reqs, b.ranges = 0, b.reqs[:0], b.ranges[:0]
	return nil
}

// emit emits a range that starts at done.
func (b *Bitmaps) emit(r *Range) {
	switch {
	case r.Bad != nil:
		b.Sink.Bad(r.End-b.done, r.Bad)
	case r.bits == nil:
		b.Sink.Emit(r.End-b.done, r.Flags, r.Host, 0)
	default:
		b.emitBits(r)
	}
	b.done = r.End
}

// emitBits emits a range with bits, each run of equal bits at once.
func (b *Bitmaps) emitBits(r *Range) {
	n := (r.End-1-r.base)/b.SectorSize + 1
	for pos := b.done; pos < r.End; {
		i := (pos - r.base) / b.SectorSize
		set := b.load(r.bits[i/8])>>(i%8)&1 != 0
		end := min(r.base+b.runEnd(r.bits, i, n, set)*b.SectorSize, r.End)
		if set {
			b.Sink.Emit(end-pos, r.Flags, r.Host+pos-b.done, 0)
		} else {
			b.Sink.Emit(end-pos, 0, 0, 0)
		}
		pos = end
	}
}

// runEnd returns the first bit after i that differs from set, or n.
func (b *Bitmaps) runEnd(bitmap []byte, i, n uint64, set bool) uint64 {
	flip := byte(0)
	if set {
		flip = 0xff
	}
	for i < n {
		if rest := b.load(bitmap[i/8]^flip) >> (i % 8); rest != 0 {
			return min(i+uint64(bits.TrailingZeros8(rest)), n)
		}
		i = i&^7 + 8
	}
	return n
}

// load returns a byte of a bitmap with its first bit lowest.
func (b *Bitmaps) load(x byte) byte {
	if b.HighFirst {
		return bits.Reverse8(x)
	}
	return x
}

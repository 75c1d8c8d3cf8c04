package vhdx

import (
	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
)

// In a differencing image a bit for each sector of a partially present block says whether the
// sector is here (1) or in the parent (0), the lowest bit of a byte first. The walk gathers the
// bits of many blocks, reads them in one go and then emits the blocks in order.
const (
	bitmapBytes = 512 * kib // read at once: 8 times the bits of the largest block
	bitmapReqs  = 256       // reads in a batch
	bitmapParts = 512       // parts in a batch
)

// bitmaps is the memory of a walk.
type bitmaps struct {
	buf    []byte
	filled int
	reqs   []block.Request
	parts  []part
}

// part is a range of the disk within a block, from where the part before ends.
type part struct {
	to    uint64
	flags extent.Flags
	host  uint64       // file offset, if it has one
	bad   *fault.Fault // the range is corrupt
	base  uint64       // what of the disk the first bit stands for: at most 7 sectors before the part
	bits  []byte       // of a block of which only a part is here
}

// plain reports whether a part says no more than its flags.
func (p *part) plain() bool { return p.flags&extent.Offset == 0 && p.bad == nil }

// take takes the memory, once.
func (b *bitmaps) take(dev block.Device) (f *fault.Fault) {
	if b.buf, f = block.Take(dev, bitmapBytes); f != nil {
		return f
	}
	b.reqs, b.parts = make([]block.Request, 0, bitmapReqs), make([]part, 0, bitmapParts)
	return nil
}

// forget empties the batch.
func (b *bitmaps) forget() { b.filled, b.reqs, b.parts = 0, b.reqs[:0], b.parts[:0] }

// add emits p, which begins at pos: in an image without bitmaps now, else behind all that waits
// for its bits. Of those p has n bytes at off.
func (w *walker) add(p part, off uint64, n int) *fault.Fault {
	b := &w.bits
	if !w.differencing() {
		w.emit(&p)
		w.pos = p.to
		return nil
	}
	if last := len(b.parts) - 1; last >= 0 && b.parts[last].plain() && p.plain() && p.flags == b.parts[last].flags {
		b.parts[last].to, w.pos = p.to, p.to
		return nil
	}
	if len(b.parts) == cap(b.parts) || len(b.reqs) == cap(b.reqs) || b.filled+n > len(b.buf) {
		if f := w.flush(); f != nil {
			return f
		}
	}
	if n > 0 {
		p.bits = b.buf[b.filled : b.filled+n]
		b.reqs = append(b.reqs, block.Request{Off: off, Buf: p.bits})
		b.filled += n
	}
	b.parts = append(b.parts, p)
	w.pos = p.to
	return nil
}

// addBits emits p, a part of a block of which the bitmap of its chunk tells what is here, given
// the entry of that.
func (w *walker) addBits(p part, payload, bitmap uint64) *fault.Fault {
	off := bitmap & offsetMask
	if bitmap&stateMask != fullyPresent || off >= w.length {
		p.bad = fault.New(fault.VhdxNoBitmap, w.bat.off+w.index(payload)*batEntrySize)
		return w.add(p, 0, 0)
	}
	start := payload * w.blockSize
	first, last := (w.pos-start)/w.sectorSize/8, (p.to-1-start)/w.sectorSize/8
	p.base = start + first*8*w.sectorSize
	return w.add(p, off+payload%w.chunkRatio*(w.blockSize/w.sectorSize/8)+first, int(last-first+1))
}

// flush reads the bits that are waited for, and emits all that waits.
func (w *walker) flush() *fault.Fault {
	b := &w.bits
	if len(b.reqs) > 0 {
		if f := w.dev.Read(b.reqs); f != nil {
			return f
		}
	}
	for i := range b.parts {
		w.emit(&b.parts[i])
	}
	b.forget()
	return nil
}

// emit emits a part, a run of sectors with equal bits at a time.
func (w *walker) emit(p *part) {
	switch {
	case p.bad != nil:
		w.sink.Bad(p.to-w.done, p.bad)
	case p.bits == nil:
		w.sink.Emit(p.to-w.done, p.flags, p.host, 0)
	default:
		w.emitBits(p)
	}
	w.done = p.to
}

func (w *walker) emitBits(p *part) {
	from := w.done
	for pos := from; pos < p.to; {
		bit := (pos - p.base) / w.sectorSize
		here := p.bit(bit)
		for bit++; p.base+bit*w.sectorSize < p.to; {
			if bit%8 == 0 && p.bits[bit/8] == all[here] {
				bit += 8
				continue
			}
			if p.bit(bit) != here {
				break
			}
			bit++
		}
		to := min(p.base+bit*w.sectorSize, p.to)
		if here == 1 {
			w.sink.Emit(to-pos, p.flags, p.host+pos-from, 0)
		} else {
			w.sink.Emit(to-pos, 0, 0, 0)
		}
		pos = to
	}
}

// all is a byte of equal bits.
var all = [2]byte{0x00, 0xff}

// bit is the one of number i, 0 or 1.
func (p *part) bit(i uint64) byte { return p.bits[i/8] >> (i % 8) & 1 }

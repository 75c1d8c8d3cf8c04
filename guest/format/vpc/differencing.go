package vpc

import (
	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// In a differencing image a bit for each sector of a block says whether the sector is here (1)
// or in the parent (0), the highest bit of a byte first. The walk gathers the bitmaps of many
// blocks, reads them in one go and then emits the blocks in order.
const (
	bitmapBytes = 1 << 20 // read at once: twice the largest bitmap, that of a block of 2 GiB
	bitmapReqs  = 256     // reads in a batch
	bitmapParts = 512     // parts in a batch
)

// bitmaps is the memory of a walk.
type bitmaps struct {
	buf    []byte
	filled int
	reqs   []block.Request
	parts  []part
}

// part is a range of the disk that lies in one block, or in no block if it has no bits.
type part struct {
	pos, to uint64
	host    uint64 // file offset of pos, if its sector is here
	base    uint64 // what of the disk the first bit stands for; pos is in the first 8 sectors from there
	bits    []byte
}

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

// full reports whether the batch has no room for one more part with n bytes of bits.
func (b *bitmaps) full(n int) bool {
	return len(b.parts) == cap(b.parts) || len(b.reqs) == cap(b.reqs) || b.filled+n > len(b.buf)
}

func (m *image) walkDifferencing(start, end uint64, sink format.Sink) *fault.Fault {
	batch := &m.bits
	batch.forget()
	flush := func() *fault.Fault {
		if len(batch.reqs) > 0 {
			if f := m.dev.Read(batch.reqs); f != nil {
				return f
			}
		}
		for i := range batch.parts {
			batch.parts[i].emit(sink)
		}
		batch.forget()
		return nil
	}
	add := func(p part, off uint64, n int) *fault.Fault {
		if batch.full(n) {
			if f := flush(); f != nil {
				return f
			}
		}
		if n > 0 {
			p.bits = batch.buf[batch.filled : batch.filled+n]
			batch.reqs = append(batch.reqs, block.Request{Off: off, Buf: p.bits})
			batch.filled += n
		}
		batch.parts = append(batch.parts, p)
		return nil
	}
	f := m.eachBlock(start, end, func(pos, to, host uint64) *fault.Fault {
		within := pos & (m.blockSize() - 1)
		first, last := within/sectorSize/8, (within+to-pos-1)/sectorSize/8
		p := part{pos: pos, to: to, host: host + m.bitmap + within, base: pos - within%(8*sectorSize)}
		return add(p, host+first, int(last-first+1))
	}, func(pos, to uint64) *fault.Fault {
		return add(part{pos: pos, to: to}, 0, 0)
	})
	if f != nil {
		return f
	}
	return flush()
}

// emit emits a part, a run of sectors with equal bits at a time.
func (p *part) emit(sink format.Sink) {
	if p.bits == nil {
		sink.Emit(p.to-p.pos, 0, 0, 0)
		return
	}
	for pos := p.pos; pos < p.to; {
		bit := (pos - p.base) / sectorSize
		here := p.bit(bit)
		for bit++; p.base+bit*sectorSize < p.to; {
			if bit%8 == 0 && p.bits[bit/8] == all[here] {
				bit += 8
				continue
			}
			if p.bit(bit) != here {
				break
			}
			bit++
		}
		to := min(p.base+bit*sectorSize, p.to)
		if here == 1 {
			sink.Emit(to-pos, dataFlags, p.host+pos-p.pos, 0)
		} else {
			sink.Emit(to-pos, 0, 0, 0)
		}
		pos = to
	}
}

// all is a byte of equal bits.
var all = [2]byte{0x00, 0xff}

// bit is the one of number i, 0 or 1.
func (p *part) bit(i uint64) byte { return p.bits[i/8] >> (7 - i%8) & 1 }

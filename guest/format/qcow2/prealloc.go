package qcow2

import (
	"encoding/binary"
	"math/bits"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// qemu guesses that an image has preallocated metadata if clearly more of its clusters are in
// use than the file occupies on the host. Then data clusters may be holes of the host file, and
// qemu looks for them. The guess changes the map, so it is made here with the same numbers.

// counter counts the clusters in use.
type counter struct {
	*image
	clusters  uint64 // of the file
	threshold uint64 // clusters in use at which the answer is yes
	perBlock  uint   // log2 of the refcounts in a refcount block
	used      uint64 // clusters in use so far
	budget    uint64 // bytes of refcount blocks that may still be read
	started   bool   // a block was read
	filled    int    // bytes of tables.L2Buf that tables.Reqs will fill
	counts    []int  // refcounts to count in each block of tables.Reqs
	pending   uint64 // their sum
}

// checkPreallocation sets extent.Holes for data clusters if qemu would look for holes. With an
// unaligned refcount block the answer is no; qemu warns of the block, and continues.
func (m *image) checkPreallocation(sink format.Sink) *fault.Fault {
	size := min(m.dev.Size(), block.MaxOffset)
	real := m.allocated >> m.clusterBits
	c := &counter{
		image:     m,
		clusters:  (size + m.clusterSize - 1) >> m.clusterBits,
		threshold: max(real*10/9, real+2),
		perBlock:  m.clusterBits + 3 - uint(m.h.refcountOrder()),
		budget:    size + m.clusterSize,
	}
	yes, f := c.scan(sink)
	if yes && m.flags[normal].Has(extent.Offset) {
		m.flags[normal] |= extent.Holes
	}
	return f
}

// scan reads the entries of the refcount table for the clusters of the file.
func (c *counter) scan(sink format.Sink) (bool, *fault.Fault) {
	table := c.h.refcountTableOffset()
	entries := min(c.reftableBytes()/reftableEntry, (c.clusters+1<<c.perBlock-1)>>c.perBlock)
	c.win.seek(table + entries*reftableEntry)
	for i := uint64(0); i < entries && c.used < c.threshold; i++ {
		b, f := c.win.bytes(table+i*reftableEntry, reftableEntry)
		if f != nil {
			return false, f
		}
		at := binary.BigEndian.Uint64(b) & reftableMask
		n := min(c.clusters-i<<c.perBlock, 1<<c.perBlock)
		switch {
		case at == 0:
		case c.offsetInCluster(at) != 0:
			if f := c.flush(); f != nil || c.used >= c.threshold {
				return f == nil, f
			}
			sink.Warn(fault.New(fault.Qcow2RefblockUnaligned, table+i*reftableEntry, at, i))
			return false, nil
		case at > block.MaxOffset-c.clusterSize:
			f := c.flush()
			return c.used >= c.threshold, f
		case at < c.dev.Size() && c.used+c.pending+c.clusters-i<<c.perBlock >= c.threshold:
			if f := c.block(at, n); f != nil {
				return false, f
			}
		}
	}
	f := c.flush()
	return c.used >= c.threshold, f
}

// block adds the refcount block at device offset at to the batch, to count its first n
// refcounts. The first block is counted at once, because it often decides; later ones are read
// many at once.
func (c *counter) block(at, n uint64) *fault.Fault {
	bytes := int((n<<c.h.refcountOrder() + 63) / 64 * 8)
	if uint64(bytes) > c.budget {
		// The table has blocks twice: they are more than the file can hold. They are not
		// counted twice.
		return nil
	}
	c.budget -= uint64(bytes)
	if c.filled+bytes > len(c.tables.L2Buf) || len(c.tables.Reqs) == cap(c.tables.Reqs) {
		if f := c.flush(); f != nil {
			return f
		}
	}
	c.tables.Reqs = append(c.tables.Reqs,
		block.Request{Off: at, Buf: c.tables.L2Buf[c.filled : c.filled+bytes]})
	c.counts = append(c.counts, int(n))
	c.filled += bytes
	c.pending += n
	if !c.started {
		c.started = true
		return c.flush()
	}
	return nil
}

// flush reads and counts the blocks of the batch.
func (c *counter) flush() *fault.Fault {
	if len(c.tables.Reqs) == 0 {
		return nil
	}
	if f := c.dev.Read(c.tables.Reqs); f != nil {
		return f
	}
	for i, r := range c.tables.Reqs {
		c.used += countNonzero(r.Buf, c.counts[i], uint(c.h.refcountOrder()))
	}
	c.tables.Reqs, c.counts, c.filled, c.pending = c.tables.Reqs[:0], c.counts[:0], 0, 0
	return nil
}

// countNonzero returns how many of the first n fields of 2^order bits in b are not zero. Fields
// below 8 bits start at the least significant bit of a byte. Wider fields are whole bytes,
// whose order does not matter here.
func countNonzero(b []byte, n int, order uint) uint64 {
	const ones = ^uint64(0)
	lowest := ones / (ones >> (64 - 1<<order)) // the lowest bit of each field of a word
	count := 0
	perWord := 64 >> order
	for ; n > 0; n -= perWord {
		word := binary.LittleEndian.Uint64(b)
		b = b[8:]
		if n < perWord {
			word &= 1<<(n<<order) - 1
		}
		if word == 0 {
			continue
		}
		// Fold every field into its lowest bit.
		for shift := uint(1) << order >> 1; shift > 0; shift >>= 1 {
			word |= word >> shift
		}
		count += bits.OnesCount64(word & lowest)
	}
	return uint64(count)
}

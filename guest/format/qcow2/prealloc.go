package qcow2

import (
	"encoding/binary"
	"math/bits"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// qemu guesses whether an image was made with preallocated metadata: are clearly more of its
// clusters in use than the file occupies on the host? Then data clusters may be holes of the
// host file, and it looks. The guess decides what a map shows, so it is made with the same
// numbers.

// counter counts the clusters in use.
type counter struct {
	*image
	clusters  uint64 // of the file
	threshold uint64 // in use: then the answer is yes
	perBlock  uint   // log2 of the refcounts in a refcount block
	used      uint64 // clusters in use so far
	budget    uint64 // bytes of refcount blocks that may still be read
	started   bool   // a block was read
	filled    int    // bytes of tables.L2Buf that tables.Reqs will fill
	counts    []int  // refcounts that matter in each block of tables.Reqs
	pending   uint64 // their sum
}

// checkPreallocation sets extent.Holes for data clusters if qemu would look for holes. A
// refcount block that is not where a cluster starts ends the guess with no; qemu prints that,
// but goes on.
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

// scan walks the refcount table as far as the file's clusters go.
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

// block gathers the refcount block at a device offset, of which the first n refcounts matter.
// The first block is counted at once, for it often decides; after that they are read many
// together.
func (c *counter) block(at, n uint64) *fault.Fault {
	bytes := int((n<<c.h.refcountOrder() + 63) / 64 * 8)
	if uint64(bytes) > c.budget {
		// Blocks that are in the table twice: more than the file can hold. They are not counted
		// twice.
		return nil
	}
	c.budget -= uint64(bytes)
	if c.filled+bytes > len(c.tables.L2Buf) || len(c.tables.Reqs) == cap(c.tables.Reqs) {
		if f := c.flush(); f != nil {
			return f
		}
	}
	c.tables.Reqs = append(c.tables.Reqs, block.Request{Off: at, Buf: c.tables.L2Buf[c.filled : c.filled+bytes]})
	c.counts = append(c.counts, int(n))
	c.filled += bytes
	c.pending += n
	if !c.started {
		c.started = true
		return c.flush()
	}
	return nil
}

// flush reads and counts the blocks gathered.
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

// countNonzero counts those of the first n fields of 2^order bits in b that are not zero.
// Fields below 8 bits start at a byte's least significant bit; in either byte order field i is
// bits [i*2^order, (i+1)*2^order) of the bytes as they come, which is all that counting needs.
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

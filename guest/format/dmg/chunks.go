package dmg

import (
	"encoding/binary"
	"slices"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// chunks gathers the chunks of all block tables, whose bytes it is given one by one.
type chunks struct {
	p        *format.Params
	strict   bool   // qemu 10.0 and newer: the length of raw chunks has to fit
	dataFork uint64 // device offset
	sectors  uint64 // of the disk

	header [tableHeaderLen]byte
	chunk  [chunkLen]byte
	taken  int  // bytes of the header, and behind it of the chunk
	other  bool // this is no block table

	known    uint64         // chunks of a type that qemu knows
	warnings []*fault.Fault // of the table that is being read
	failed   *fault.Fault   // what went wrong first; nothing is looked at any more

	runs   []run
	sorted bool // runs are in the order of the disk
}

// kind is what a run is made of.
type kind uint8

const (
	zero kind = iota
	raw
	compressed
	strange // of a type that nobody knows
	bad     // raw, without the bytes that it needs
)

// run is a part of the disk.
type run struct {
	start, sectors uint64
	offset         uint64 // device offset of the bytes, if raw; what is said to be one, if bad
	length         uint64 // what is said to be the length in bytes, if bad
	at             uint64 // where the chunk is described, a device offset
	kind           kind
}

func (r *run) end() uint64 { return r.start + r.sectors }

// begin starts what may be a block table.
func (c *chunks) begin() { c.taken, c.other = 0, false }

// end ends a block table. A table whose end is missing is not looked at by qemu, which decodes it
// as a whole.
func (c *chunks) end() *fault.Fault {
	for _, w := range c.warnings {
		c.p.Warn(w)
	}
	c.warnings = nil
	return c.failed
}

// add takes the next byte, which is at a device offset or was decoded from what is there.
func (c *chunks) add(x byte, at uint64) {
	switch {
	case c.other || c.failed != nil:
	case c.taken < tableHeaderLen:
		c.header[c.taken] = x
		c.taken++
		c.other = c.taken == len(tableMagic) && string(c.header[:len(tableMagic)]) != tableMagic
	default:
		c.chunk[c.taken-tableHeaderLen] = x
		c.taken++
		if c.taken == tableHeaderLen+chunkLen {
			c.taken = tableHeaderLen
			c.complete(at)
		}
	}
}

func (c *chunks) u64(off int) uint64 { return binary.BigEndian.Uint64(c.chunk[off:]) }

// complete looks at a chunk.
func (c *chunks) complete(at uint64) {
	k, t := strange, binary.BigEndian.Uint32(c.chunk[:])
	switch t {
	case typeComment, typeEnd:
		return
	case typeZero, typeIgnore:
		k = zero
	case typeRaw:
		k = raw
	case typeADC, typeZlib, typeBzip2, typeLZFSE, typeLZMA:
		k = compressed
	}
	if c.p.Release.IsQemu() {
		c.check(k, t, at)
		return
	}
	c.keep(run{start: c.u64(offChunkSector), sectors: c.u64(offChunkSectors), length: c.u64(offChunkLength), at: at, kind: k})
}

// check makes the checks of qemu, as it is packed by Debian: what reads bzip2 and LZFSE is not
// there. Nothing is checked of a chunk that it cannot read.
func (c *chunks) check(k kind, t uint32, at uint64) {
	count, length := c.u64(offChunkSectors), c.u64(offChunkLength)
	switch {
	case t == typeBzip2:
		c.warnings = format.Once(c.warnings, fault.New(fault.DmgBzip2, at))
	case t == typeLZFSE:
		c.warnings = format.Once(c.warnings, fault.New(fault.DmgLZFSE, at))
	case k == strange, k == compressed && t != typeZlib:
		c.warnings = format.Once(c.warnings, fault.New(fault.DmgChunkType, at, uint64(t)))
	case k != zero && count > maxChunkCount:
		c.failed = fault.New(fault.DmgSectorCount, at, count, c.known, maxChunkCount)
	case length > maxChunkLength:
		c.failed = fault.New(fault.DmgLength, at, length, c.known, maxChunkLength)
	case c.strict && k == raw && count != (length+sectorSize-1)/sectorSize:
		c.failed = fault.New(fault.DmgRawLength, at, length, c.known, count)
	default:
		c.known++
	}
}

// keep adds a chunk to the runs, as far as it lies on the disk. r.start still counts from the
// start of the table.
func (c *chunks) keep(r run) {
	first := binary.BigEndian.Uint64(c.header[offFirstSector:])
	if r.start > ^uint64(0)-first {
		c.failed = fault.New(fault.DmgChunkStart, r.at, r.start, first)
		return
	}
	r.start += first
	if r.kind == raw {
		c.place(&r)
	}
	if r.start >= c.sectors || r.sectors == 0 {
		return
	}
	r.sectors = min(r.sectors, c.sectors-r.start)
	n := len(c.runs)
	switch {
	case n == 0:
		c.sorted = true
	case c.runs[n-1].continues(&r):
		c.runs[n-1].sectors += r.sectors
		return
	case n == maxRuns:
		c.failed = fault.New(fault.DmgChunks, r.at, maxRuns)
		return
	}
	c.sorted = c.sorted && (n == 0 || c.runs[n-1].start <= r.start)
	c.runs = append(c.runs, r)
}

// place finds where the bytes of a raw run are, if it has as many as it needs and at a place
// that a file can have.
func (c *chunks) place(r *run) {
	table, chunk := binary.BigEndian.Uint64(c.header[offTableData:]), c.u64(offChunkData)
	r.offset = c.dataFork + table + chunk // the data fork begins within the file
	if table > block.MaxOffset-c.dataFork || chunk > block.MaxOffset-c.dataFork-table || r.length > block.MaxOffset-r.offset ||
		(r.length+sectorSize-1)/sectorSize < r.sectors {
		r.kind = bad
	}
}

// continues reports whether next goes on where r ends, as if they were one.
func (r *run) continues(next *run) bool {
	return r.kind == next.kind && r.kind != bad && next.start == r.end() && (r.kind != raw || next.offset == r.offset+r.sectors*sectorSize)
}

// size is the disk's, bytes, of which the trailer says that it has so many sectors. Some writers
// leave that out: then the disk ends with its last chunk.
func (c *chunks) size(sectors uint64) uint64 {
	if sectors == 0 && len(c.runs) > 0 {
		sectors = c.runs[len(c.runs)-1].end() // they do not overlap, and lie within block.MaxOffset
	}
	return sectors * sectorSize
}

// arrange puts the runs into the order of the disk.
func (c *chunks) arrange() *fault.Fault {
	if !c.sorted {
		slices.SortStableFunc(c.runs, func(a, b run) int {
			switch {
			case a.start < b.start:
				return -1
			case a.start > b.start:
				return 1
			}
			return 0
		})
	}
	for i := 1; i < len(c.runs); i++ {
		if r := &c.runs[i]; r.start < c.runs[i-1].end() {
			return fault.New(fault.DmgOverlap, r.at, r.start)
		}
	}
	return nil
}

package dmg

import (
	"encoding/binary"
	"slices"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
)

// chunks gathers the chunks of all block tables, byte by byte.
type chunks struct {
	p        *format.Params
	strict   bool   // as qemu 10.0 and later: the length of a raw chunk must fit
	dataFork uint64 // device offset
	sectors  uint64 // of the disk

	header [tableHeaderLen]byte
	chunk  [chunkLen]byte
	taken  int  // bytes of the header, then of the chunk
	other  bool // these bytes are not a block table

	known    uint64         // chunks of a type that qemu knows
	warnings []*fault.Fault // of this table
	failed   *fault.Fault   // the first fault, which ends the search

	runs   []run
	sorted bool // runs are in the order of the disk
}

// kind is how a run is stored.
type kind uint8

const (
	zero kind = iota
	raw
	compressed
	strange // of an unknown type
	bad     // raw, without the bytes that it needs
)

// run is a part of the disk.
type run struct {
	start, sectors uint64
	offset         uint64 // device offset of the bytes, if raw; the wrong offset, if bad
	length         uint64 // the wrong length in bytes, if bad
	at             uint64 // device offset of the entry of the chunk
	kind           kind
}

func (r *run) end() uint64 { return r.start + r.sectors }

// begin starts bytes that may be a block table.
func (c *chunks) begin() { c.taken, c.other = 0, false }

// end ends a block table. qemu decodes a table as a whole: it ignores one without an end.
func (c *chunks) end() *fault.Fault {
	for _, w := range c.warnings {
		c.p.Warn(w)
	}
	c.warnings = nil
	return c.failed
}

// add takes the next byte, which is at device offset at or was decoded from the bytes there.
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

// complete takes a complete entry.
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
	c.keep(run{start: c.u64(offChunkSector), sectors: c.u64(offChunkSectors),
		length: c.u64(offChunkLength), at: at, kind: k})
}

// check makes the checks of qemu as Debian builds it, without bzip2 and LZFSE. qemu checks
// nothing of a chunk that it cannot read.
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

// keep adds the part of a chunk that is on the disk to the runs. r.start is still relative to
// the first sector of the table.
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

// place sets the offset of the bytes of a raw run. If there are too few, or if no file can have
// the offset, the run becomes bad.
func (c *chunks) place(r *run) {
	table, chunk := binary.BigEndian.Uint64(c.header[offTableData:]), c.u64(offChunkData)
	r.offset = c.dataFork + table + chunk // the data fork begins in the file
	if table > block.MaxOffset-c.dataFork || chunk > block.MaxOffset-c.dataFork-table ||
		r.length > block.MaxOffset-r.offset ||
		(r.length+sectorSize-1)/sectorSize < r.sectors {
		r.kind = bad
	}
}

// continues reports whether next continues r, so that they are one run.
func (r *run) continues(next *run) bool {
	return r.kind == next.kind && r.kind != bad && next.start == r.end() &&
		(r.kind != raw || next.offset == r.offset+r.sectors*sectorSize)
}

// size returns the size of the disk in bytes, given the number of sectors in the trailer. Some
// programs do not write that: then the disk ends with its last chunk.
func (c *chunks) size(sectors uint64) uint64 {
	if sectors == 0 && len(c.runs) > 0 {
		sectors = c.runs[len(c.runs)-1].end() // they do not overlap, and end by block.MaxOffset
	}
	return sectors * sectorSize
}

// arrange sorts the runs into the order of the disk, and checks that they do not overlap.
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

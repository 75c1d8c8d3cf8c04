package qcow2test

import (
	"encoding/binary"
	"io"
	"math"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format/formattest"
)

// Model computes the map that qemu makes of an image, slowly: it looks up every subcluster from
// the header on, and divides the disk into the same calls as qemu. The header must be valid.
type Model struct {
	r         io.ReaderAt
	devSize   uint64
	allocated uint64
	holes     bool // the preallocation heuristic fired

	version, crypt                   uint32
	clusterBits                      uint
	size                             uint64
	l1, reftable                     uint64
	l1Size, reftableClusters         uint64
	extended, dataFile               bool
	refcountOrder                    uint
	sliceEntries, tableEntries, subs uint64
}

// NewModel reads the header of an image of devSize bytes, of which the host allocated the given
// number of bytes.
func NewModel(r io.ReaderAt, devSize, allocated uint64) *Model {
	m := &Model{r: r, devSize: devSize, allocated: allocated}
	u32 := func(off uint64) uint32 { return uint32(m.word(off) >> 32) }
	m.version = u32(OffVersion)
	m.clusterBits = uint(u32(OffClusterBits))
	m.size = m.word(OffSize) / 512 * 512
	m.crypt = u32(OffCryptMethod)
	m.l1Size = uint64(u32(OffL1Size))
	m.l1 = m.word(OffL1TableOffset)
	m.reftable = m.word(OffRefcountTableOffset)
	m.reftableClusters = uint64(u32(OffRefcountTableSize))
	m.refcountOrder = 4
	if m.version >= 3 {
		m.extended = m.word(OffIncompatible)&(1<<4) != 0
		m.dataFile = m.word(OffIncompatible)&(1<<2) != 0
		m.refcountOrder = uint(u32(OffRefcountOrder))
	}
	entry, subs := uint64(8), uint64(1)
	if m.extended {
		entry, subs = 16, 32
	}
	m.subs = subs
	m.tableEntries = m.cluster() / entry
	m.sliceEntries = m.tableEntries
	all := (m.size + m.cluster() - 1) / m.cluster() * entry
	if (all+m.cluster()-1)/m.cluster()*m.cluster() > 32<<20 {
		m.sliceEntries = min(m.cluster(), 4096) / entry
	}
	m.holes = m.preallocated()
	return m
}

// Size returns the size of the virtual disk in bytes.
func (m *Model) Size() uint64 { return m.size }

func (m *Model) cluster() uint64 { return 1 << m.clusterBits }

// word returns the big-endian number at off. Bytes past the end are zero.
func (m *Model) word(off uint64) uint64 {
	var b [8]byte
	if off < m.devSize && off <= math.MaxInt64-8 {
		n := min(8, m.devSize-off)
		if _, err := m.r.ReadAt(b[:n], int64(off)); err != nil && err != io.EOF {
			panic(err)
		}
	}
	return binary.BigEndian.Uint64(b[:])
}

// Preallocated reports whether qemu would look for holes in the host file.
func (m *Model) Preallocated() bool { return m.holes }

func (m *Model) preallocated() bool {
	real := m.allocated / m.cluster()
	threshold := max(real*10/9, real+2)
	size := (m.devSize + 511) / 512 * 512
	count := uint64(0)
	for i := uint64(0); i < (size+m.cluster()-1)/m.cluster() && count < threshold; i++ {
		used, ok := m.used(i)
		if !ok {
			return false
		}
		if used {
			count++
		}
	}
	return count >= threshold
}

// used reports whether host cluster i has a refcount other than 0.
func (m *Model) used(i uint64) (used, ok bool) {
	perBlock := m.cluster() * 8 >> m.refcountOrder
	if i/perBlock >= m.reftableClusters*m.cluster()/8 {
		return false, true
	}
	at := m.word(m.reftable+i/perBlock*8) &^ 0x1ff
	if at == 0 {
		return false, true
	}
	if at%m.cluster() != 0 || at > 1<<63-1<<30-m.cluster() {
		return false, false
	}
	bit := i % perBlock << m.refcountOrder
	if m.refcountOrder < 3 {
		b := m.word(at+bit/8) >> 56
		return b>>(bit%8)&(1<<(1<<m.refcountOrder)-1) != 0, true
	}
	width := uint(1) << m.refcountOrder
	return m.word(at+bit/8)>>(64-width) != 0, true
}

// cell is one subcluster, or one cluster of an image without extended L2 entries.
type cell struct {
	// kind is the rest of the name of a QCOW2_SUBCLUSTER_ constant of qemu, or L2 if the place of
	// the table is invalid.
	kind  string
	host  uint64 // of the cluster
	table uint64 // host offset of the L2 table
	index uint64 // the entry's index in its slice
	fault *fault.Fault
}

// look returns the cell of virtual byte x. Its fault is the one that a call reports that starts
// there.
func (m *Model) look(x uint64) cell {
	i := x / (m.tableEntries * m.cluster())
	table := m.word(m.l1+i*8) & 0x00fffffffffffe00
	if table == 0 {
		return cell{kind: "UNALLOC_PLAIN"}
	}
	if table%m.cluster() != 0 {
		return cell{kind: "L2", fault: fault.New(fault.Qcow2L2Unaligned, m.l1+i*8, table, i)}
	}
	j := x / m.cluster() % m.tableEntries
	at := table + j*(m.cluster()/m.tableEntries)
	e := m.word(at)
	c := cell{table: table, index: j % m.sliceEntries, host: e & 0x00fffffffffffe00}
	switch {
	case e>>62&1 != 0:
		c.kind = "COMPRESSED"
	case m.extended:
		bitmap := m.word(at + 8)
		sub := x % m.cluster() / (m.cluster() / 32)
		alloc, zero := bitmap>>sub&1 != 0, bitmap>>(32+sub)&1 != 0
		normal := c.host != 0 || m.dataFile && e>>63 != 0
		switch {
		case normal && uint32(bitmap)&uint32(bitmap>>32) != 0, !normal && uint32(bitmap) != 0:
			c.kind = "INVALID"
		case normal && zero:
			c.kind = "ZERO_ALLOC"
		case normal && alloc:
			c.kind = "NORMAL"
		case normal:
			c.kind = "UNALLOC_ALLOC"
		case zero:
			c.kind = "ZERO_PLAIN"
		default:
			c.kind = "UNALLOC_PLAIN"
		}
	case e&1 != 0 && c.host != 0:
		c.kind = "ZERO_ALLOC"
	case e&1 != 0:
		c.kind = "ZERO_PLAIN"
	case c.host == 0 && !(m.dataFile && e>>63 != 0):
		c.kind = "UNALLOC_PLAIN"
	default:
		c.kind = "NORMAL"
	}
	guest := x / m.cluster() * m.cluster()
	switch zero := c.kind == "ZERO_ALLOC" || c.kind == "ZERO_PLAIN"; {
	case c.kind == "INVALID":
		c.fault = fault.New(fault.Qcow2InvalidSubcluster, at, table, c.index)
	case zero && m.version < 3:
		c.fault = fault.New(fault.Qcow2ZeroInV2, at, table, c.index)
	case c.kind == "COMPRESSED" && m.dataFile:
		c.fault = fault.New(fault.Qcow2CompressedWithDataFile, at, table, c.index)
	case c.located() && c.host%m.cluster() != 0:
		c.fault = fault.New(fault.Qcow2ClusterUnaligned, at, c.host, table, c.index)
	case c.located() && m.dataFile && c.host != guest:
		c.fault = fault.New(fault.Qcow2DataFileOffset, at, c.host, guest, c.index)
	}
	return c
}

func (c cell) located() bool {
	return c.kind == "NORMAL" || c.kind == "ZERO_ALLOC" || c.kind == "UNALLOC_ALLOC"
}

// call answers as one call of qemu for [x, end): the end of the extent at x, or a fault.
func (m *Model) call(x, end uint64) (uint64, *fault.Fault) {
	end = min(end, x+math.MaxInt32)
	slice := m.sliceEntries * m.cluster()
	end = min(end, x/slice*slice+slice)
	first := m.look(x)
	if first.fault != nil {
		return 0, first.fault
	}
	sub := m.cluster() / m.subs
	if first.table == 0 {
		return end, nil
	}
	if first.kind == "COMPRESSED" {
		return min(end, x/m.cluster()*m.cluster()+m.cluster()), nil
	}
	for y := x/sub*sub + sub; y < end; y += sub {
		next := m.look(y)
		if next.kind == "INVALID" {
			return 0, next.fault
		}
		between := y/m.cluster()*m.cluster() - x/m.cluster()*m.cluster()
		if next.kind != first.kind || first.located() && next.host-first.host != between {
			return y, nil
		}
	}
	return end, nil
}

// Walk emits the extents that a walker must emit for [start, end).
func (m *Model) Walk(start, end uint64, sink *formattest.Sink) {
	file := uint16(0)
	if m.dataFile {
		file = 1
	}
	for x := start; x < end; {
		next, f := m.call(x, end)
		c := m.look(x)
		if f != nil && c.fault != nil {
			reach := m.cluster()
			if c.kind == "L2" {
				reach *= m.tableEntries
			}
			next = min(end, x/reach*reach+reach)
			sink.Bad(next-x, f)
			x = next
			continue
		}
		flags := m.flags(c)
		if f != nil {
			flags |= extent.BadAhead
			for next = x/m.cluster()*m.cluster() + m.cluster(); m.look(next).kind != "INVALID"; {
				next += m.cluster()
			}
		}
		if flags&extent.Offset != 0 {
			sink.Emit(next-x, flags, c.host+x%m.cluster(), file)
		} else {
			sink.Emit(next-x, flags, 0, 0)
		}
		x = next
	}
}

func (m *Model) flags(c cell) extent.Flags {
	flags := map[string]extent.Flags{
		"UNALLOC_ALLOC": extent.Offset,
		"ZERO_PLAIN":    extent.Present | extent.Zero,
		"ZERO_ALLOC":    extent.Present | extent.Zero | extent.Offset,
		"NORMAL":        extent.Present | extent.Data | extent.Offset,
		"COMPRESSED":    extent.Present | extent.Data | extent.Compressed,
	}[c.kind]
	if c.kind == "NORMAL" && m.holes {
		flags |= extent.Holes
	}
	if m.crypt != 0 && flags&extent.Offset != 0 {
		flags &^= extent.Offset | extent.Holes
		if c.kind == "NORMAL" {
			flags |= extent.Encrypted
		}
	}
	return flags
}

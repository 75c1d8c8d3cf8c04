// Package vmdktest builds the files of VMDKs for tests: sparse files of all three kinds, and
// descriptors.
package vmdktest

import (
	"encoding/binary"
	"slices"

	"instarfs/guest/format/formattest"
)

const sectorSize = 512 // bytes

// Sparse is a sparse file to build. Damage goes in through Spoil.
type Sparse struct {
	Kind         string // KDMV, COWD or SESPARSE
	Capacity     uint64 // sectors
	Grain        uint64 // sectors; always 8 in a SESPARSE
	TableEntries uint64 // entries of a grain table; the kinds other than KDMV have a fixed number
	Version      uint32
	Flags        uint32
	Compression  uint16
	AtEnd        bool   // the footer has the header with the offset of the directory
	Text         string // the descriptor
	// Entries are the entries of grain tables, by grain. Grain tables without entries do not exist.
	Entries map[uint64]uint64

	spoils []formattest.Patch
}

// NewSparse starts a file without grains. Capacity and grain size are in sectors.
func NewSparse(kind string, capacity, grain uint64) *Sparse {
	s := &Sparse{Kind: kind, Capacity: capacity, Grain: grain, TableEntries: 512,
		Version: 1, Flags: 3, Entries: map[uint64]uint64{}}
	s.Text = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n" +
		"createType=\"monolithicSparse\"\n"
	switch kind {
	case "COWD":
		s.TableEntries = 4096
	case "SESPARSE":
		s.TableEntries, s.Grain = 4096, 8
	}
	return s
}

func (s *Sparse) entrySize() uint64 {
	if s.Kind == "SESPARSE" {
		return 8
	}
	return 4
}

// DirectoryOffset returns the offset of the grain directory in bytes.
func (s *Sparse) DirectoryOffset() uint64 {
	return map[string]uint64{"KDMV": 21, "COWD": 4, "SESPARSE": 8}[s.Kind] * sectorSize
}

// DirectoryEntries returns the number of entries of the grain directory.
func (s *Sparse) DirectoryEntries() uint64 {
	reach := s.TableEntries * s.Grain
	return (s.Capacity + reach - 1) / reach
}

// TablesOffset returns the offset of the first grain table in bytes. The others follow in the
// order of their grains.
func (s *Sparse) TablesOffset() uint64 {
	return sectors(s.DirectoryOffset()+s.DirectoryEntries()*s.entrySize()) * sectorSize
}

func sectors(n uint64) uint64 { return (n + sectorSize - 1) / sectorSize }

// Spoil overwrites bytes of the file after everything else is written.
func (s *Sparse) Spoil(off uint64, b ...byte) {
	s.spoils = append(s.spoils, formattest.Patch{Off: off, Bytes: b})
}

// Spoil64 overwrites 8 bytes with a little-endian number.
func (s *Sparse) Spoil64(off, v uint64) {
	s.Spoil(off, binary.LittleEndian.AppendUint64(nil, v)...)
}

// Spoil32 overwrites 4 bytes with a little-endian number.
func (s *Sparse) Spoil32(off uint64, v uint32) {
	s.Spoil(off, binary.LittleEndian.AppendUint32(nil, v)...)
}

// Stored returns the entry of a SESPARSE whose grain has index n among the stored grains.
func Stored(n uint64) uint64 { return 3<<60 | n&0xfff<<48 | n>>12 }

// Bytes returns the file.
func (s *Sparse) Bytes() []byte {
	size := s.entrySize()
	put := func(b []byte, v uint64) {
		if size == 8 {
			binary.LittleEndian.PutUint64(b, v)
		} else {
			binary.LittleEndian.PutUint32(b, uint32(v))
		}
	}
	var used []uint64
	for g := range s.Entries {
		if t := g / s.TableEntries; !slices.Contains(used, t) {
			used = append(used, t)
		}
	}
	slices.Sort(used)
	tableLen := sectors(s.TableEntries*size) * sectorSize
	base := s.TablesOffset()
	b := make([]byte, base+uint64(len(used))*tableLen)
	for i, t := range used {
		at := base + uint64(i)*tableLen
		entry := at / sectorSize
		if s.Kind == "SESPARSE" {
			entry = 1<<60 | uint64(i)
		}
		put(b[s.DirectoryOffset()+t*size:], entry)
		for j := range s.TableEntries {
			put(b[at+j*size:], s.Entries[t*s.TableEntries+j])
		}
	}
	s.header(b)
	if s.AtEnd {
		foot := make([]byte, 3*sectorSize)
		foot[12] = 3
		copy(foot[sectorSize:], b[:sectorSize])
		binary.LittleEndian.PutUint64(b[56:], 1<<64-1)
		b = append(b, foot...)
	}
	for _, p := range s.spoils {
		if short := int(p.Off) + len(p.Bytes) - len(b); short > 0 {
			b = append(b, make([]byte, short)...)
		}
		copy(b[p.Off:], p.Bytes)
	}
	return b
}

func (s *Sparse) header(b []byte) {
	le := binary.LittleEndian
	switch s.Kind {
	case "KDMV":
		copy(b, "KDMV")
		le.PutUint32(b[4:], s.Version)
		le.PutUint32(b[8:], s.Flags)
		for i, v := range []uint64{s.Capacity, s.Grain, 1, 20} {
			le.PutUint64(b[12+8*i:], v)
		}
		le.PutUint32(b[44:], uint32(s.TableEntries))
		directory := s.DirectoryOffset() / sectorSize
		for i, v := range []uint64{directory, directory, sectors(uint64(len(b)))} {
			le.PutUint64(b[48+8*i:], v)
		}
		copy(b[73:], "\n \r\n")
		le.PutUint16(b[77:], s.Compression)
		copy(b[sectorSize:s.DirectoryOffset()], s.Text)
	case "COWD":
		copy(b, "COWD")
		directory := s.DirectoryOffset() / sectorSize
		for i, v := range []uint64{1, 3, s.Capacity, s.Grain, directory, s.DirectoryEntries()} {
			le.PutUint32(b[4+4*i:], uint32(v))
		}
		copy(b[sectorSize:s.DirectoryOffset()], s.Text)
	case "SESPARSE":
		for i, v := range map[int]uint64{
			0: 0xcafebabe, 1: 2<<32 | 1, 2: s.Capacity, 3: s.Grain, 4: 64, 10: 1, 11: 1,
			16: s.DirectoryOffset() / sectorSize, 17: sectors(s.DirectoryEntries() * 8),
			18: s.TablesOffset() / sectorSize,
			24: sectors(uint64(len(b))),
		} {
			le.PutUint64(b[8*i:], v)
		}
		le.PutUint64(b[sectorSize:], 0xcafecafe)
	}
}

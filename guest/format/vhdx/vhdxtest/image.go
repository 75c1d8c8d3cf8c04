// Package vhdxtest builds virtual hard disks of version 2 (VHDX) for tests, with logs.
package vhdxtest

import (
	"encoding/binary"
	"unicode/utf16"

	"instarfs/guest/format/formattest"
)

// Offsets in the images built here and in those of qemu-img, in bytes. Numbers are little endian.
const (
	Header1  = 64 << 10
	Header2  = 128 << 10
	Regions  = 192 << 10
	Regions2 = 256 << 10
	Log      = 1 << 20

	// Offsets of fields of a header.
	Sequence   = 8
	LogGUID    = 48
	LogVersion = 64
	Version    = 66
	LogLength  = 68
	LogOffset  = 72
)

// States of entries of the block allocation table (BAT).
const (
	NotPresent = 0
	Undefined  = 1
	Zero       = 2
	Unmapped   = 3
	Present    = 6
	Partially  = 7
)

// Flags of the file parameters.
const (
	LeaveAllocated = 1
	HasParent      = 2
)

// GUIDs of the regions and of metadata items, as they are stored.
const (
	batGUID        = "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"
	MetadataGUID   = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
	parametersGUID = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	diskSizeGUID   = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
	DiskIDGUID     = "\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46"
	logicalGUID    = "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f"
	physicalGUID   = "\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56"
	// of the parent locator
	ParentGUID = "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"
)

// locatorGUID is the type of the parent locator.
const locatorGUID = "\xb7\xef\x4a\xb0\x9e\xd1\x81\x4a\xb7\x89\x25\xb8\xe9\x44\x59\x13"

// Item is an entry of the metadata table with its value.
type Item struct {
	GUID     string
	Value    []byte
	Required bool
}

// Region is an entry of the region table.
type Region struct {
	GUID     string
	Off      uint64
	Length   uint32
	Required bool
}

// Image is an image to build. Set its fields before File; tests put damage into the file.
type Image struct {
	Size       uint64
	BlockSize  uint32
	SectorSize uint32
	Flags      uint32
	LogGUID    string // 16 bytes, or empty
	LogLength  uint32
	Locator    [][2]string // keys and values
	Items      []Item      // in addition to those that every image has
	Regions    []Region    // in addition to the BAT and the metadata
	BAT        []uint64

	data formattest.Sparse // blocks
	next uint64            // first free file offset
}

// New starts an image of size bytes with nothing allocated. Sizes are in bytes.
func New(size uint64, blockSize, sectorSize uint32) *Image {
	v := &Image{Size: size, BlockSize: blockSize, SectorSize: sectorSize, LogLength: 1 << 20}
	blocks := (size + uint64(blockSize) - 1) / uint64(blockSize)
	v.BAT = make([]uint64, (blocks+v.ChunkRatio()-1)/v.ChunkRatio()*(v.ChunkRatio()+1))
	return v
}

// ChunkRatio returns the number of payload blocks of a chunk.
func (v *Image) ChunkRatio() uint64 { return 1 << 23 * uint64(v.SectorSize) / uint64(v.BlockSize) }

// Index returns the index of the BAT entry of a payload block.
func (v *Image) Index(payload uint64) uint64 { return payload + payload/v.ChunkRatio() }

// MetadataOffset returns the file offset of the metadata region.
func (v *Image) MetadataOffset() uint64 { return Log + uint64(v.LogLength) }

// BATOffset returns the file offset of the BAT.
func (v *Image) BATOffset() uint64 { return v.MetadataOffset() + 1<<20 }

func (v *Image) batLength() uint64 {
	return (max(uint64(len(v.BAT))*8, 1) + 1<<20 - 1) &^ (1<<20 - 1)
}

// Alloc allocates n bytes, rounded up to whole MiB, and returns their file offset.
func (v *Image) Alloc(n uint64) uint64 {
	if v.next == 0 {
		v.next = v.BATOffset() + v.batLength()
	}
	off := v.next
	v.next += (n + 1<<20 - 1) &^ (1<<20 - 1)
	v.data.Size = max(v.data.Size, v.next)
	return off
}

// Block allocates a payload block, sets its state, and returns its file offset.
func (v *Image) Block(payload, state uint64) uint64 {
	off := v.Alloc(uint64(v.BlockSize))
	v.BAT[v.Index(payload)] = off | state
	v.data.Put(off, []byte{1})
	return off
}

// Bitmap puts bits at byte n of the sector bitmap block of a chunk, which it allocates if there
// is none.
func (v *Image) Bitmap(chunk uint64, n uint64, bits []byte) {
	e := &v.BAT[(chunk+1)*(v.ChunkRatio()+1)-1]
	if *e == 0 {
		*e = v.Alloc(1<<20) | Present
	}
	v.data.Put(*e&^(1<<20-1)+n, bits)
}

// locator returns the parent locator.
func (v *Image) locator() []byte {
	le := binary.LittleEndian
	b := append([]byte(locatorGUID), 0, 0)
	b = le.AppendUint16(b, uint16(len(v.Locator)))
	text := []byte{}
	for _, kv := range v.Locator {
		var at, n [2]int
		for i, s := range kv {
			at[i] = 20 + 12*len(v.Locator) + len(text)
			for _, u := range utf16.Encode([]rune(s)) {
				text = le.AppendUint16(text, u)
				n[i] += 2
			}
		}
		b = le.AppendUint32(b, uint32(at[0]))
		b = le.AppendUint32(b, uint32(at[1]))
		b = le.AppendUint16(b, uint16(n[0]))
		b = le.AppendUint16(b, uint16(n[1]))
	}
	return append(b, text...)
}

// File lays out the image and returns its file.
func (v *Image) File() *formattest.Sparse {
	le := binary.LittleEndian
	s := &v.data
	v.Alloc(0)
	s.Put(0, []byte("vhdxfile"))
	for i, off := range []uint64{Header1, Header2} {
		h := make([]byte, 4096)
		copy(h, "head")
		le.PutUint64(h[Sequence:], uint64(i+1))
		copy(h[LogGUID:], v.LogGUID)
		le.PutUint16(h[Version:], 1)
		le.PutUint32(h[LogLength:], v.LogLength)
		le.PutUint64(h[LogOffset:], Log)
		Sum(h)
		s.Put(off, h)
	}
	regions := append([]Region{{batGUID, v.BATOffset(), uint32(v.batLength()), true},
		{MetadataGUID, v.MetadataOffset(), 1 << 20, true}}, v.Regions...)
	for _, off := range []uint64{Regions, Regions2} {
		t := make([]byte, 64<<10)
		copy(t, "regi")
		le.PutUint32(t[8:], uint32(len(regions)))
		for i, r := range regions {
			e := t[16+32*i:]
			copy(e, r.GUID)
			le.PutUint64(e[16:], r.Off)
			le.PutUint32(e[24:], r.Length)
			if r.Required {
				e[28] = 1
			}
		}
		Sum(t)
		s.Put(off, t)
	}
	items := []Item{
		{parametersGUID, le.AppendUint32(le.AppendUint32(nil, v.BlockSize), v.Flags), true},
		{diskSizeGUID, le.AppendUint64(nil, v.Size), true},
		{DiskIDGUID, make([]byte, 16), true},
		{logicalGUID, le.AppendUint32(nil, v.SectorSize), true},
		{physicalGUID, le.AppendUint32(nil, 4096), true},
	}
	if v.Flags&HasParent != 0 {
		items = append(items, Item{ParentGUID, v.locator(), true})
	}
	items = append(items, v.Items...)
	t := make([]byte, 64<<10)
	copy(t, "metadata")
	le.PutUint16(t[10:], uint16(len(items)))
	at := len(t)
	for i, item := range items {
		e := t[32+32*i:]
		copy(e, item.GUID)
		le.PutUint32(e[16:], uint32(at))
		le.PutUint32(e[20:], uint32(len(item.Value)))
		if item.Required {
			e[24] = 4
		}
		s.Put(v.MetadataOffset()+uint64(at), item.Value)
		at += len(item.Value)
	}
	s.Put(v.MetadataOffset(), t)
	bat := make([]byte, 8*len(v.BAT))
	for i, e := range v.BAT {
		le.PutUint64(bat[8*i:], e)
	}
	s.Put(v.BATOffset(), bat)
	return s
}

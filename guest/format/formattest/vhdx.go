package formattest

import (
	"encoding/binary"
	"hash/crc32"
	"unicode/utf16"
)

// Where things are in the VHDX images built here, and in those of qemu-img. Little endian.
const (
	VhdxHeader1  = 64 << 10
	VhdxHeader2  = 128 << 10
	VhdxRegions  = 192 << 10
	VhdxRegions2 = 256 << 10
	VhdxLog      = 1 << 20

	// Fields of a header.
	VhdxSequence   = 8
	VhdxLogGUID    = 48
	VhdxLogVersion = 64
	VhdxVersion    = 66
	VhdxLogLength  = 68
	VhdxLogOffset  = 72
)

// States of BAT entries.
const (
	VhdxNotPresent = 0
	VhdxUndefined  = 1
	VhdxZero       = 2
	VhdxUnmapped   = 3
	VhdxPresent    = 6
	VhdxPartially  = 7
)

// Flags of the file parameters.
const (
	VhdxLeaveAllocated = 1
	VhdxHasParent      = 2
)

var vhdxSum = crc32.MakeTable(crc32.Castagnoli)

// guids as they are stored.
var (
	vhdxBat        = "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"
	vhdxMetadata   = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"
	vhdxParameters = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"
	vhdxDiskSize   = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"
	vhdxDiskID     = "\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46"
	vhdxLogical    = "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f"
	vhdxPhysical   = "\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56"
	vhdxParent     = "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"
	vhdxLocator    = "\xb7\xef\x4a\xb0\x9e\xd1\x81\x4a\xb7\x89\x25\xb8\xe9\x44\x59\x13"
)

// VhdxItem is an entry of the metadata table and what it stands for.
type VhdxItem struct {
	GUID     string
	Value    []byte
	Required bool
}

// VhdxRegion is an entry of the region table.
type VhdxRegion struct {
	GUID     string
	Off      uint64
	Length   uint32
	Required bool
}

// Vhdx builds an image. Change its fields before Image; what is wrong with an image is put into that.
type Vhdx struct {
	Size       uint64
	BlockSize  uint32
	SectorSize uint32
	Flags      uint32
	LogGUID    string // 16 bytes, or none
	LogLength  uint32
	Locator    [][2]string // keys and values
	Items      []VhdxItem  // further ones
	Regions    []VhdxRegion
	BAT        []uint64

	data Sparse // blocks
	next uint64 // file offset that is free, and all behind it
}

// NewVhdx is an image of size bytes of which nothing is there.
func NewVhdx(size uint64, blockSize, sectorSize uint32) *Vhdx {
	v := &Vhdx{Size: size, BlockSize: blockSize, SectorSize: sectorSize, LogLength: 1 << 20}
	blocks := (size + uint64(blockSize) - 1) / uint64(blockSize)
	v.BAT = make([]uint64, (blocks+v.ChunkRatio()-1)/v.ChunkRatio()*(v.ChunkRatio()+1))
	return v
}

// ChunkRatio is how many payload blocks a chunk has.
func (v *Vhdx) ChunkRatio() uint64 { return 1 << 23 * uint64(v.SectorSize) / uint64(v.BlockSize) }

// Index is the number of the BAT entry of a payload block.
func (v *Vhdx) Index(payload uint64) uint64 { return payload + payload/v.ChunkRatio() }

// MetadataOffset is the file offset of the metadata region.
func (v *Vhdx) MetadataOffset() uint64 { return VhdxLog + uint64(v.LogLength) }

// BATOffset is the file offset of the BAT.
func (v *Vhdx) BATOffset() uint64 { return v.MetadataOffset() + 1<<20 }

func (v *Vhdx) batLength() uint64 { return (max(uint64(len(v.BAT))*8, 1) + 1<<20 - 1) &^ (1<<20 - 1) }

// Alloc returns the file offset of n bytes that nothing else uses, in whole MiB.
func (v *Vhdx) Alloc(n uint64) uint64 {
	if v.next == 0 {
		v.next = v.BATOffset() + v.batLength()
	}
	off := v.next
	v.next += (n + 1<<20 - 1) &^ (1<<20 - 1)
	v.data.Size = max(v.data.Size, v.next)
	return off
}

// Block gives a payload block a place in the file, which is returned, and a state.
func (v *Vhdx) Block(payload, state uint64) uint64 {
	off := v.Alloc(uint64(v.BlockSize))
	v.BAT[v.Index(payload)] = off | state
	v.data.Put(off, []byte{1})
	return off
}

// Bitmap gives a chunk a sector bitmap block. Bits lie n bytes behind its start.
func (v *Vhdx) Bitmap(chunk uint64, n uint64, bits []byte) {
	e := &v.BAT[(chunk+1)*(v.ChunkRatio()+1)-1]
	if *e == 0 {
		*e = v.Alloc(1<<20) | VhdxPresent
	}
	v.data.Put(*e&^(1<<20-1)+n, bits)
}

// locator is the parent locator.
func (v *Vhdx) locator() []byte {
	le := binary.LittleEndian
	b := append([]byte(vhdxLocator), 0, 0)
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

// Image is the whole file.
func (v *Vhdx) Image() *Sparse {
	le := binary.LittleEndian
	s := &v.data
	v.Alloc(0)
	s.Put(0, []byte("vhdxfile"))
	for i, off := range []uint64{VhdxHeader1, VhdxHeader2} {
		h := make([]byte, 4096)
		copy(h, "head")
		le.PutUint64(h[VhdxSequence:], uint64(i+1))
		copy(h[VhdxLogGUID:], v.LogGUID)
		le.PutUint16(h[VhdxVersion:], 1)
		le.PutUint32(h[VhdxLogLength:], v.LogLength)
		le.PutUint64(h[VhdxLogOffset:], VhdxLog)
		VhdxSum(h)
		s.Put(off, h)
	}
	regions := append([]VhdxRegion{{vhdxBat, v.BATOffset(), uint32(v.batLength()), true},
		{vhdxMetadata, v.MetadataOffset(), 1 << 20, true}}, v.Regions...)
	for _, off := range []uint64{VhdxRegions, VhdxRegions2} {
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
		VhdxSum(t)
		s.Put(off, t)
	}
	items := []VhdxItem{
		{vhdxParameters, le.AppendUint32(le.AppendUint32(nil, v.BlockSize), v.Flags), true},
		{vhdxDiskSize, le.AppendUint64(nil, v.Size), true},
		{vhdxDiskID, make([]byte, 16), true},
		{vhdxLogical, le.AppendUint32(nil, v.SectorSize), true},
		{vhdxPhysical, le.AppendUint32(nil, 4096), true},
	}
	if v.Flags&VhdxHasParent != 0 {
		items = append(items, VhdxItem{vhdxParent, v.locator(), true})
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

// VhdxSum sets the checksum of a header, a region table or a log entry.
func VhdxSum(b []byte) {
	binary.LittleEndian.PutUint32(b[4:], 0)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b, vhdxSum))
}

// VhdxChange is a descriptor of a log entry: Data, of 4096 bytes, is written at Off, or Length zeroes if there is none.
type VhdxChange struct {
	Off, Length uint64
	Data        []byte
}

// VhdxEntry is an entry of the log.
type VhdxEntry struct {
	GUID          string
	Sequence      uint64
	Tail          uint32
	Flushed, Last uint64
	Changes       []VhdxChange
}

// Bytes is the entry as it stands in the log.
func (e *VhdxEntry) Bytes() []byte {
	le := binary.LittleEndian
	b := make([]byte, 64)
	copy(b, "loge")
	le.PutUint32(b[12:], e.Tail)
	le.PutUint64(b[16:], e.Sequence)
	le.PutUint32(b[24:], uint32(len(e.Changes)))
	copy(b[32:48], e.GUID)
	le.PutUint64(b[48:], e.Flushed)
	le.PutUint64(b[56:], e.Last)
	var data []byte
	for _, c := range e.Changes {
		d := make([]byte, 32)
		le.PutUint64(d[16:], c.Off)
		le.PutUint64(d[24:], e.Sequence)
		if c.Data == nil {
			copy(d, "zero")
			le.PutUint64(d[8:], c.Length)
		} else {
			copy(d, "desc")
			copy(d[4:8], c.Data[4092:])
			copy(d[8:16], c.Data[:8])
			s := append([]byte("data"), 0, 0, 0, 0)
			le.PutUint32(s[4:], uint32(e.Sequence>>32))
			s = append(s, c.Data[8:4092]...)
			data = append(data, le.AppendUint32(s, uint32(e.Sequence))...)
		}
		b = append(b, d...)
	}
	b = append(b, make([]byte, -len(b)&4095)...)
	b = append(b, data...)
	le.PutUint32(b[8:], uint32(len(b)))
	VhdxSum(b)
	return b
}

// PutLog writes bytes into the log of an image, behind at bytes of it and around its end, and returns where they end.
func (v *Vhdx) PutLog(s *Sparse, at uint64, b []byte) uint64 {
	for len(b) > 0 {
		n := min(uint64(len(b)), uint64(v.LogLength)-at)
		s.Put(VhdxLog+at, b[:n])
		b = b[n:]
		at = (at + n) % uint64(v.LogLength)
	}
	return at
}

package vmdk_test

import (
	"encoding/binary"
	"math"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vmdk"
	"instarfs/guest/format/vmdk/vmdktest"
	"instarfs/guest/img"
)

const (
	qemu   = 7<<16 | 2
	sector = 512
	stored = extent.Present | extent.Data | extent.Offset
	packed = extent.Present | extent.Data | extent.Compressed
	zeroed = extent.Present | extent.Zero
	shown  = stored | extent.Holes
)

// drivers are the drivers of the kinds of vmdktest.Sparse.
var drivers = map[string]*format.Driver{"KDMV": &vmdk.SparseDriver, "COWD": &vmdk.SparseDriver,
	"SESPARSE": &vmdk.SESparseDriver}

// driverOf returns the driver that makes the most checks of a kind of file.
func driverOf(kind string) *format.Driver {
	if kind == "KDMV" {
		return &vmdk.Driver
	}
	return drivers[kind]
}

// walk runs a driver, and fails the test if it breaks the contract.
func walk(t testing.TB, d *format.Driver, b []byte, release img.Release,
	w img.Window) (*formattest.Result, *fault.Fault) {
	t.Helper()
	dev := formattest.Bytes(b)
	res, f, err := formattest.Run(d, &format.Params{Dev: dev, Release: release}, w)
	if err != nil {
		t.Fatal(err)
	}
	if dev.Bytes > 1<<26 {
		t.Fatalf("%d bytes read", dev.Bytes)
	}
	if res != nil && res.Refuse != nil {
		return nil, res.Refuse
	}
	return res, f
}

func window(start, end uint64) img.Window { return img.Window{Start: start, End: end} }

// ext is an extent without its start, which is the end of the one before.
type ext struct {
	length uint64
	flags  extent.Flags
	offset uint64
	file   uint16
}

// same compares a map with the extents wanted.
func same(t testing.TB, r *formattest.Result, want []ext) {
	t.Helper()
	got := formattest.Extents(r.Map)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			t.Fatalf("%d extents, want %d: %+v", len(got), len(want), got)
		}
		if g := (ext{got[i].Length, got[i].Flags, got[i].Offset, got[i].File}); g != want[i] {
			t.Fatalf("extent %d is %+v, want %+v", i, g, want[i])
		}
	}
}

// model computes the state of one byte of the disk in a sparse file, from the fields of the
// builder and the bytes that it built.
type model struct {
	s *vmdktest.Sparse
	b []byte
}

func (m model) word(off, size uint64) uint64 {
	if off > uint64(len(m.b)) || off+size > uint64(len(m.b)) {
		return 0
	}
	if size == 8 {
		return binary.LittleEndian.Uint64(m.b[off:])
	}
	return uint64(binary.LittleEndian.Uint32(m.b[off:]))
}

// at returns the state of a byte, and its offset in the file.
func (m model) at(x uint64) (extent.Flags, uint64) {
	grain, size := m.s.Grain*sector, uint64(4)
	se := m.s.Kind == "SESPARSE"
	if se {
		size = 8
	}
	g := x / grain
	entry := m.word(m.s.DirectoryOffset()+g/m.s.TableEntries*size, size)
	switch {
	case entry == 0:
		return 0, 0
	case se && entry>>32 != 0x10000000:
		return extent.Bad, 0
	case se:
		entry = m.s.TablesOffset()/sector + entry&math.MaxUint32*64
	}
	e := m.word(entry*sector+g%m.s.TableEntries*size, size)
	switch {
	case e == 0:
		return 0, 0
	case se:
		switch e >> 60 {
		case 1, 2:
			return zeroed, 0
		case 3:
			n := e>>48&0xfff + e&0xffffffffffff<<12
			if first := m.word(24*8, 8); n < 1<<40 {
				return stored, (first+n*8)*sector + x%grain
			}
		}
		return extent.Bad, 0
	case e == 1 && m.s.Flags&4 != 0 && m.s.Kind == "KDMV":
		return zeroed, 0
	case m.s.Compression == 1 && m.s.Kind == "KDMV":
		return packed, 0
	}
	return stored, e*sector + x%grain
}

// agree compares a map with the model at both ends of all sectors.
func (m model) agree(t testing.TB, r *formattest.Result) {
	t.Helper()
	for i := range r.Map.Len() {
		e := r.Map.At(i)
		for x := e.Start; x < e.End(); x += sector {
			for _, y := range []uint64{x, min(x+sector, e.End()) - 1} {
				flags, off := m.at(y)
				if flags != e.Flags || flags&extent.Offset != 0 && off != e.Offset+y-e.Start {
					t.Fatalf("byte %d is %b at %d, want %b at %d", y, e.Flags, e.Offset+y-e.Start,
						flags, off)
				}
			}
		}
	}
}

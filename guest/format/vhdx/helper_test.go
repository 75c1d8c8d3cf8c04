package vhdx_test

import (
	"encoding/binary"
	"math/rand"
	"path/filepath"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qemutest"
	"instarfs/guest/format/vhdx"
	"instarfs/guest/format/vhdx/vhdxtest"
	"instarfs/guest/img"
)

const (
	data = extent.Present | extent.Data | extent.Offset
	zero = extent.Present | extent.Zero
	mib  = 1 << 20

	qemu72 = 7<<16 | 2
)

func window(start, end uint64) img.Window { return img.Window{Start: start, End: end} }

// walk runs the walker, and fails the test if it breaks the contract.
func walk(t testing.TB, s *formattest.Sparse, qemu img.Release, w img.Window) (*formattest.Result,
	*fault.Fault) {
	t.Helper()
	res, f, err := formattest.Run(&vhdx.Driver, &format.Params{Dev: s.Device(), Release: qemu}, w)
	if err != nil {
		t.Fatal(err)
	}
	return res, f
}

// model returns the state of byte x of the disk in our own profile, by the fields of the
// builder and the bitmaps that it wrote.
func model(v *vhdxtest.Image, s *formattest.Sparse, x uint64) (flags extent.Flags, offset uint64) {
	size, sector := uint64(v.BlockSize), uint64(v.SectorSize)
	parent := v.Flags&vhdxtest.HasParent != 0
	payload := x / size
	e := v.BAT[v.Index(payload)]
	off := e >> 20 << 20
	length := min(size, v.Size/512*512-payload*size)
	// The builder puts blocks after everything else.
	placed := off < 1<<62 && off >= v.BATOffset()+mib && off+length <= s.Size
	switch state := e & 7; {
	case state == 0, (state == 3 || state == 5) && parent:
		return 0, 0
	case state == 1, state == 2, state == 3, state == 5:
		return zero, 0
	case state == 4, state == 7 && !parent, !placed:
		return extent.Bad, 0
	case state == 7:
		chunk := payload / v.ChunkRatio()
		b := v.BAT[(chunk+1)*(v.ChunkRatio()+1)-1]
		if b&7 != 6 || b>>20<<20 >= s.Size {
			return extent.Bad, 0
		}
		n := x / sector % (8 << 20) // of the sector in its chunk
		if s.Bytes(b>>20<<20+n/8, 1)[0]>>(n%8)&1 == 0 {
			return 0, 0
		}
	case v.Flags == vhdxtest.LeaveAllocated:
		return data | extent.Holes, off + x%size
	}
	return data, off + x%size
}

// agree compares a window with the model at both ends of each extent, where blocks meet, and
// somewhere in between.
func agree(t testing.TB, v *vhdxtest.Image, clean, s *formattest.Sparse,
	w img.Window) *formattest.Result {
	t.Helper()
	res, f := walk(t, s, 0, w)
	if f != nil {
		t.Fatalf("fault %v", f)
	}
	rng := rand.New(rand.NewSource(1))
	var prev extent.Extent
	for i, e := range formattest.Extents(res.Map) {
		at := []uint64{e.Start, e.End() - 1}
		for x := e.Start/mib*mib + mib; x < e.End() && len(at) < 1000; x += mib {
			at = append(at, x, x-1)
		}
		for range 8 {
			at = append(at, e.Start+uint64(rng.Int63n(int64(e.Length))))
		}
		for _, x := range at {
			got := e
			if x > e.Start {
				got = e.Skip(x - e.Start)
			}
			if got.Flags == extent.Bad {
				got.Offset = 0
			}
			if flags, offset := model(v, clean, x); got.Flags != flags || got.Offset != offset {
				t.Fatalf("byte %d is %+v, want flags %#x at %d", x, got, flags, offset)
			}
		}
		if i > 0 && prev.Flags == e.Flags && e.Flags&(extent.Offset|extent.Bad) == 0 {
			t.Fatalf("%+v and %+v are not one", prev, e)
		}
		prev = e
	}
	return res
}

// randomBAT returns an image with blocks in every state. If odd, some entries are invalid.
func randomBAT(rng *rand.Rand, odd bool) *vhdxtest.Image {
	block := uint32(1<<20) << rng.Intn(4)
	sector := []uint32{512, 512, 4096}[rng.Intn(3)]
	v := vhdxtest.New(uint64(rng.Intn(int(block)*24))/uint64(sector)*uint64(sector), block, sector)
	v.Flags = []uint32{0, vhdxtest.LeaveAllocated, vhdxtest.HasParent,
		vhdxtest.HasParent | vhdxtest.LeaveAllocated}[rng.Intn(4)]
	parent := v.Flags&vhdxtest.HasParent != 0
	v.Locator = [][2]string{{"parent_linkage", "{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}"},
		{"relative_path", `.\parent`}}
	if rng.Intn(3) == 0 {
		v.LogGUID, v.LogLength = "0123456789abcdef", uint32(1+rng.Intn(3))<<20
	}
	blocks := (v.Size + uint64(block) - 1) / uint64(block)
	for p := range blocks {
		switch state := uint64(rng.Intn(9)); {
		case state == 4 && odd:
			v.BAT[v.Index(p)] = state
		case state == 4, state == 5 && !odd:
		case state == vhdxtest.Partially && !parent && !odd:
		case state >= 6:
			v.Block(p, min(state, 7))
			if state == 8 && !parent {
				v.BAT[v.Index(p)] ^= 1
			}
			if odd && rng.Intn(8) == 0 {
				v.BAT[v.Index(p)] ^= 1 << (20 + rng.Intn(44))
			}
		default:
			v.BAT[v.Index(p)] = state | uint64(rng.Intn(3))<<20
		}
	}
	if parent && blocks > 0 && (!odd || rng.Intn(4) > 0) {
		bits := make([]byte, v.Size/uint64(sector)/8+1)
		for i := 0; i < len(bits); {
			value := []byte{0, 0xff, byte(rng.Intn(256))}[rng.Intn(3)]
			for n := rng.Intn(600); n >= 0 && i < len(bits); n, i = n-1, i+1 {
				bits[i] = value
			}
		}
		v.Bitmap(0, 0, bits)
	}
	return v
}

// compareRefusal compares a fault with what the installed qemu-img prints for the image.
func compareRefusal(t *testing.T, s *formattest.Sparse, f *fault.Fault) {
	t.Helper()
	dir := t.TempDir()
	s.WriteFile(t, filepath.Join(dir, "x"))
	qemutest.CompareRefusal(t, dir, "x", "vhdx", f)
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func le64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

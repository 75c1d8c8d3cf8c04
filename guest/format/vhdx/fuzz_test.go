package vhdx_test

import (
	"encoding/binary"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vhdx"
	"instarfs/guest/format/vhdx/vhdxtest"
	"instarfs/guest/img"
)

// patches puts the bytes of a fuzzer over a valid image of each type, and corrects the
// checksums. A patch is 2 bytes for the place, 1 for the length, and as many bytes.
func patches(kind byte, b []byte) *formattest.Sparse {
	v := vhdxtest.New(9*mib, mib, []uint32{512, 4096}[kind&1])
	v.Flags = uint32(kind >> 1 & 3)
	v.Locator = [][2]string{{"relative_path", "parent"}, {"volume_path", "x"}}
	if kind&8 != 0 {
		v.LogGUID = logGUID
	}
	v.Block(1, 6)
	v.Block(3, 6+uint64(kind>>2&1))
	v.Bitmap(0, 3*mib/uint64(v.SectorSize)/8, []byte{0x5a})
	s := v.File()
	e := &vhdxtest.Entry{GUID: logGUID, Sequence: 7, Flushed: s.Size, Last: s.Size,
		Changes: []vhdxtest.Change{{Off: v.BATOffset() + 4096, Length: 4096},
			{Off: v.BATOffset(), Data: s.Bytes(v.BATOffset(), 4096)}}}
	v.PutLog(s, 0, e.Bytes())
	places := []uint64{vhdxtest.Header1, vhdxtest.Header2, vhdxtest.Regions, v.MetadataOffset(),
		v.MetadataOffset() + 64<<10,
		v.BATOffset(), mib, mib + 4096, mib + 8192, mib + 64}
	for len(b) > 3 {
		n := min(int(b[2])%40+1, len(b)-3)
		at := int(binary.LittleEndian.Uint16(b))
		s.Put(places[at%len(places)]+uint64(at/len(places))%600, b[3:3+n])
		b = b[3+n:]
	}
	for _, at := range []uint64{vhdxtest.Header1, vhdxtest.Header2} {
		h := s.Bytes(at, 4096)
		vhdxtest.Sum(h)
		s.Put(at, h)
	}
	h := s.Bytes(vhdxtest.Regions, 64<<10)
	vhdxtest.Sum(h)
	s.Put(vhdxtest.Regions, h)
	h = s.Bytes(mib, 64<<10)
	if n := binary.LittleEndian.Uint32(h[8:]); n >= 64 && n <= 64<<10 {
		vhdxtest.Sum(h[:n])
		s.Put(mib, h[:n])
	}
	return s
}

// FuzzVhdx opens and walks arbitrary bytes: it does not panic, extents tile the window or there
// is a fault, a window has the same extents as the whole disk, and the cost is bounded.
func FuzzVhdx(f *testing.F) {
	rng := rand.New(rand.NewSource(1))
	for kind := range byte(16) {
		f.Add(kind, []byte{}, uint64(0), uint64(9*mib), kind%2 == 0)
		b := make([]byte, 60)
		rng.Read(b)
		f.Add(kind, b, uint64(rng.Intn(9*mib)), uint64(rng.Intn(mib)), kind%3 > 0)
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte, start, length uint64, own bool) {
		s := patches(kind, b)
		qemu := img.Release(qemu72)
		if own {
			qemu = 0
		}
		const most = 1 << 30
		dev := s.Device()
		all, ft, err := formattest.Run(&vhdx.Driver, &format.Params{Dev: dev, Release: qemu},
			window(0, most))
		if err != nil {
			t.Fatal(err)
		}
		if dev.Bytes > 64<<20 {
			t.Fatalf("%d bytes read", dev.Bytes)
		}
		if ft != nil {
			return
		}
		end := all.Map.End()
		if end == 0 {
			return
		}
		start %= end
		part, ft := walk(t, s, qemu, window(start, min(end, start+length%end+1)))
		if ft != nil {
			t.Fatalf("window: %v", ft)
		}
		for at := part.Map.Start(); at < part.Map.End(); {
			a, p := all.Map.At(all.Map.Find(at)), part.Map.At(part.Map.Find(at))
			if a.Start < at {
				a = a.Skip(at - a.Start)
			}
			if p.Start < at {
				p = p.Skip(at - p.Start)
			}
			n := min(a.Length, p.Length)
			a.Length, p.Length = n, n
			if a.Flags == extent.Bad && p.Flags == extent.Bad {
				a.Offset, p.Offset = 0, 0
			}
			if a != p {
				t.Fatalf("%+v, in a window %+v", a, p)
			}
			at += n
		}
	})
}

package dmg_test

import (
	"encoding/base64"
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/format"
	"instarfs/guest/format/dmg"
	"instarfs/guest/format/dmg/dmgtest"
	"instarfs/guest/format/formattest"
	"instarfs/guest/img"
)

// TestModel compares each sector of random images with a model.
func TestModel(t *testing.T) {
	for seed := range int64(300) {
		rng := rand.New(rand.NewSource(seed))
		d := dmgtest.Random(rng)
		r := formattest.Properties(t, &dmg.Driver, d.Bytes(), 0, rng.Uint64(), rng.Uint64(), true)
		if r == nil {
			t.Fatalf("seed %d: a fault", seed)
		}
		want := make([]extent.Extent, d.Sectors)
		for _, tab := range d.Tables {
			for _, c := range tab.Chunks {
				for i := range c[2] {
					s := tab.First + c[1] + i
					if s >= d.Sectors {
						continue
					}
					switch {
					case c[0] == 1:
						want[s] = e(s, 1, d.DataFork+tab.Data+c[3]+i*512, data)
					case c[0] == 0, c[0] == 2:
						want[s] = e(s, 1, 0, zero)
					case c[0] >= 0x80000004 && c[0] <= 0x80000008:
						want[s] = e(s, 1, 0, compressed)
					default:
						want[s] = e(s, 1, 0, unknown)
					}
				}
			}
		}
		for s, w := range want {
			off := uint64(s) * 512
			got := r.Map.At(r.Map.Find(off))
			if got = got.Skip(off - got.Start); got.Length < 512 || got.State != w.State ||
				got.Offset != w.Offset {
				t.Fatalf("seed %d: %+v, want %+v", seed, got, w)
			}
		}
	}
}

// TestWindows maps each sector, and from each sector to the end.
func TestWindows(t *testing.T) {
	b := image(every...).Bytes()
	for s := range uint64(100) {
		for _, end := range []uint64{s + 1, 100} {
			r, f, err := formattest.Run(&dmg.Driver, &format.Params{Dev: formattest.Bytes(b)},
				img.Window{Start: s * 512, End: end * 512})
			if f != nil || err != nil {
				t.Fatal(f, err)
			}
			at := s * 512
			for _, want := range everyMapped {
				if want.End() <= at || at >= end*512 {
					continue
				}
				want = want.Skip(at - want.Start)
				want.Length = min(want.Length, end*512-at)
				if got := r.Map.At(r.Map.Find(at)); got != want {
					t.Fatalf("[%d,%d): %+v, want %+v", s, end, got, want)
				}
				at = want.End()
			}
		}
	}
}

// TestMany checks that adjacent chunks need no memory, however many they are, and that others
// do.
func TestMany(t *testing.T) {
	for _, tc := range []struct {
		n, step uint64
		want    string
	}{{1 << 18, 1, ""}, {1 << 16, 2, ""}, {1<<16 + 1, 2, "more than 65536 extents"}} {
		d := &dmgtest.Image{Sectors: tc.n * tc.step}
		tab := table{}
		for i := range tc.n {
			tab.Chunks = append(tab.Chunks, chunk{0x80000005, i * tc.step, 1, i, 1})
		}
		d.Tables = []table{tab}
		dev := formattest.Bytes(append([]byte(nil), d.Bytes()...))
		_, f, err := formattest.Run(&dmg.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || (f == nil) != (tc.want == "") || f != nil && f.Message() != tc.want {
			t.Errorf("%+v: %v %v", tc, f, err)
		}
		if dev.Bytes > dev.Size()+2048 {
			t.Errorf("%d bytes read of %d", dev.Bytes, dev.Size())
		}
	}
}

// FuzzDmg walks arbitrary bytes.
func FuzzDmg(f *testing.F) {
	for seed := range int64(8) {
		d := dmgtest.Random(rand.New(rand.NewSource(seed)))
		d.Body = min(d.Body, 100)
		d.DataFork = 0
		f.Add(d.Bytes(), uint64(seed)<<10, uint64(1)<<20)
	}
	f.Add(image(every...).Bytes()[8100:], uint64(5), uint64(1000))
	f.Fuzz(func(t *testing.T, b []byte, start, length uint64) {
		formattest.Properties(t, &dmg.Driver, b, 0, start, length, true)
		formattest.Properties(t, &dmg.Driver, b, qemu, start, length, true)
	})
}

// FuzzDmgTable puts arbitrary bytes into a block table.
func FuzzDmgTable(f *testing.F) {
	for seed := range int64(8) {
		d := dmgtest.Random(rand.New(rand.NewSource(seed)))
		f.Add(d.Tables[0].Bytes(), d.Sectors)
	}
	f.Fuzz(func(t *testing.T, b []byte, sectors uint64) {
		d := &dmgtest.Image{Sectors: sectors, Plist: "<data>" +
			base64.StdEncoding.EncodeToString(b) + "</data>"}
		formattest.Properties(t, &dmg.Driver, append([]byte(nil), d.Bytes()...), 0, 700, 5000, true)
	})
}

package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"testing"

	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vhdx/vhdxtest"
)

// TestDifferencingVhdx maps, in our own profile, random differencing images over random
// parents, and compares sectors of the result with the tables and bitmaps.
func TestDifferencingVhdx(t *testing.T) {
	t.Chdir(t.TempDir())
	for seed := range int64(25) {
		rng := rand.New(rand.NewSource(seed))
		var chain []vhdxLayer // the top first
		for i := range 3 {
			v := vhdxtest.New(uint64(1+rng.Intn(6<<11))*512, 1<<20, 512)
			if i < 2 {
				v.Flags = vhdxtest.HasParent
				v.Locator = [][2]string{{"absolute_win32_path", `C:\nowhere`},
					{"relative_path", fmt.Sprintf(`.\image%d.vhdx`, i+1)}}
			}
			for p := range (v.Size + 1<<20 - 1) >> 20 {
				switch state := uint64(rng.Intn(9)); {
				case state == 6 || state > 6 && i == 2:
					v.Block(p, vhdxtest.Present)
				case state > 6:
					v.Block(p, vhdxtest.Partially)
					bits := make([]byte, 256)
					rng.Read(bits[rng.Intn(256):])
					v.Bitmap(0, 256*p, bits)
				case state < 4:
					v.BAT[p] = state
				}
			}
			s := v.File()
			s.WriteFile(t, fmt.Sprintf("image%d.vhdx", i))
			chain = append(chain, vhdxLayer{v, s})
		}
		tool := walkedTool()
		if tool.run("map", "--output=json", "image0.vhdx") != 0 {
			t.Fatalf("seed %d: %s", seed, tool.stderr.String())
		}
		var entries []vhdxEntry
		if err := json.Unmarshal(tool.stdout.Bytes(), &entries); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			end := e.Start + e.Length
			for _, x := range []uint64{e.Start, e.Start + e.Length/1024*512, end - 512} {
				got := vhdxEntry{Depth: e.Depth, Present: e.Present, Zero: e.Zero, Data: e.Data,
					Offset: e.Offset}
				if got.Data {
					got.Offset += x - e.Start
				}
				if want := vhdxSector(chain, x); got != want {
					t.Fatalf("seed %d: sector %d is %+v, want %+v", seed, x/512, got, want)
				}
			}
		}
	}
}

type vhdxLayer struct {
	*vhdxtest.Image
	file *formattest.Sparse
}

type vhdxEntry struct {
	Start, Length, Depth, Offset uint64
	Present, Zero, Data          bool
}

// vhdxSector returns the state of the sector at x, by the layers of a chain from the top on.
func vhdxSector(chain []vhdxLayer, x uint64) vhdxEntry {
	depth := uint64(0)
	for i, l := range chain {
		if x >= l.Size {
			break // the layer above reads as zeroes there
		}
		depth = uint64(i)
		e := l.BAT[x>>20]
		here := vhdxEntry{Depth: depth, Present: true, Data: true, Offset: e&^7 + x&(1<<20-1)}
		switch e & 7 {
		case vhdxtest.Undefined, vhdxtest.Zero:
			return vhdxEntry{Depth: depth, Present: true, Zero: true}
		case vhdxtest.Unmapped:
			if i == len(chain)-1 {
				return vhdxEntry{Depth: depth, Present: true, Zero: true}
			}
		case vhdxtest.Present:
			return here
		case vhdxtest.Partially:
			bitmap := l.BAT[l.ChunkRatio()] &^ 7
			if l.file.Bytes(bitmap+x/512/8, 1)[0]>>(x/512%8)&1 == 1 {
				return here
			}
		}
	}
	return vhdxEntry{Depth: depth, Zero: true}
}

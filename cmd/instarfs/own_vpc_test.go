package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"testing"

	"instarfs/guest/format/vpc/vpctest"
)

// TestDifferencingVpc maps, in our own profile, random differencing images over random parents
// of all types, and compares each sector of the result with the bytes of the files.
func TestDifferencingVpc(t *testing.T) {
	t.Chdir(t.TempDir())
	mapped := 0
	for seed := range int64(60) {
		rng := rand.New(rand.NewSource(seed))
		var files [][]byte // the top first
		for i, kind := range []uint32{vpctest.Differencing, vpctest.Differencing, vpctest.Dynamic} {
			v := vpctest.Random(rng, kind)
			v.Creator = "win "
			v.Locators = [][2]string{{"W2ku", `C:\nowhere`},
				{"W2ru", fmt.Sprintf(`.\image%d`, i+1)}}
			b := v.Bytes()
			// A fixed image: only the image above says that it is a VHD.
			if i == 2 && rng.Intn(2) == 0 {
				v.Type, v.Size = vpctest.Fixed, max(v.Size, 512)
				b = append(make([]byte, v.Size), v.Bytes()...)
				for j := range v.Size {
					b[j] = 1
				}
			}
			files = append(files, b)
			if err := os.WriteFile(fmt.Sprintf("image%d", i), b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		tool := walkedTool()
		if tool.run("map", "--output=json", "image0") != 0 {
			// Blocks that overlap may be past the end.
			if !strings.Contains(tool.stderr.String(), "truncated") {
				t.Fatalf("seed %d: %s", seed, tool.stderr.String())
			}
			continue
		}
		mapped++
		var entries []vpcEntry
		if err := json.Unmarshal(tool.stdout.Bytes(), &entries); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			for x := e.Start; x < e.Start+e.Length; x += 512 {
				want := vpcSector(files, x)
				got := vpcEntry{Depth: e.Depth, Present: e.Present, Data: e.Data, Offset: e.Offset}
				if got.Data {
					got.Offset += x - e.Start
				}
				if got != want {
					t.Fatalf("seed %d: sector %d is %+v, want %+v", seed, x/512, got, want)
				}
			}
		}
	}
	if mapped < 30 {
		t.Errorf("only %d were mapped", mapped)
	}
}

type vpcEntry struct {
	Start, Length, Depth, Offset uint64
	Present, Data                bool
}

// vpcSector returns the state of the sector at x, by the files of a chain from the top on.
func vpcSector(files [][]byte, x uint64) vpcEntry {
	be := binary.BigEndian
	depth := uint64(0)
	for i, b := range files {
		foot := b[len(b)-512:]
		kind := be.Uint32(foot[60:])
		if x >= be.Uint64(foot[48:]) {
			break // the layer above reads as zeroes there
		}
		depth = uint64(i)
		if kind == vpctest.Fixed {
			return vpcEntry{Depth: depth, Present: true, Data: true, Offset: x}
		}
		size := uint64(be.Uint32(b[vpctest.BlockSize:]))
		block := be.Uint32(b[vpctest.Table+x/size*4:])
		switch {
		case block == vpctest.Unallocated && kind == vpctest.Dynamic:
			return vpcEntry{Depth: depth, Present: true} // zeroes, as qemu-img has them
		case block == vpctest.Unallocated:
			continue
		}
		s := x % size / 512
		at := uint64(block) * 512
		if kind == vpctest.Dynamic || b[at+s/8]<<(s%8)&0x80 != 0 {
			return vpcEntry{Depth: depth, Present: true, Data: true,
				Offset: at + (size/4096+511)/512*512 + x%size}
		}
	}
	return vpcEntry{Depth: depth}
}

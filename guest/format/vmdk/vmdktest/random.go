package vmdktest

import (
	"math/rand"
	"strings"
)

// RandomSparse returns a file of the given kind with all sorts of entries, few of them wrong.
func RandomSparse(rng *rand.Rand, kind string) *Sparse {
	grain := []uint64{1, 8, 16, 100, 127, 128, 128, 512}[rng.Intn(8)]
	s := NewSparse(kind, uint64(rng.Intn(1<<(1+rng.Intn(14)))), grain)
	if kind == "KDMV" {
		s.TableEntries = []uint64{1, 3, 64, 511, 512, 512}[rng.Intn(6)]
		s.Version = uint32(rng.Intn(4))
		s.Compression = uint16(rng.Intn(8) / 6)
		if rng.Intn(2) == 0 {
			s.Flags |= 4
		}
		s.AtEnd = rng.Intn(8) == 0
	}
	next, wrong := uint64(1000), rng.Intn(6) == 0
	for g := uint64(0); g < (s.Capacity+s.Grain-1)/s.Grain; g++ {
		if rng.Intn(3) == 0 {
			next += uint64(rng.Intn(4)) * s.Grain
		}
		step := s.Grain
		var e uint64
		switch n := rng.Intn(10); {
		case n < 3:
			continue
		case n == 3:
			e = 1
			if kind == "SESPARSE" {
				e = uint64(1+rng.Intn(2))<<60 | uint64(rng.Intn(2))*rng.Uint64()>>4
			}
		case kind == "SESPARSE":
			e, step = Stored(next), 1
			if wrong && n == 4 {
				e = rng.Uint64() | 1<<63
			}
		default:
			e = next
		}
		next += step
		run := 1 + rng.Intn(2)*rng.Intn(20)
		for range run {
			s.Entries[g] = e
			g++
		}
	}
	for g := range s.Entries {
		if g*s.Grain >= s.Capacity {
			delete(s.Entries, g)
		}
	}
	return s
}

// RandomOver returns a file whose parent has the given name. The parent must not be a
// descriptor of several files: its map depends on grains of the layer above that the map of
// that layer does not show, because the last grain of a file can reach into the next.
func RandomOver(rng *rand.Rand, under string) *Sparse {
	top := RandomSparse(rng, "KDMV")
	top.Text += "parentFileNameHint=\"" + under + "\"\n"
	return top
}

// RandomText returns a descriptor with the given lines of extents, which it changes a little as
// people and programs do.
func RandomText(rng *rand.Rand, lines []string) string {
	kinds := []string{"monolithicFlat", "vmfs", "vmfsSparse", "seSparse", "twoGbMaxExtentSparse",
		"twoGbMaxExtentFlat"}
	text := "# Disk DescriptorFile\nversion=1\nCID=123\nparentCID=ffffffff\ncreateType=\"" +
		kinds[rng.Intn(len(kinds))] + "\"\n"
	for _, l := range lines {
		switch rng.Intn(12) {
		case 0:
			text += "\n"
		case 1:
			text += "  \n\t\n"
		case 2:
			text += "# RW 5 ZERO\n"
		case 3:
			text += []string{"RW 7 ZERO\n", "RDONLY 7 FLAT \"x\" 0\n", "RW 0 FLAT \"x\" 0\n",
				"RW 9 VMFSRDM \"x\"\n", "RW 1\n"}[rng.Intn(5)]
		case 4:
			l = strings.ReplaceAll(l, " ", []string{"  ", "\t", "\n", " \n "}[rng.Intn(4)])
		case 5:
			l = strings.TrimSuffix(l, `"`)
		case 6:
			l += []string{" 5", "\n6", " x", "\r"}[rng.Intn(4)]
		}
		text += l + "\n"
	}
	text += "\n# DDB\nddb.adapterType = \"ide\"\n"
	if rng.Intn(4) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}

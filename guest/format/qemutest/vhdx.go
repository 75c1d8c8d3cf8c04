package qemutest

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"instarfs/guest/format/vhdx/vhdxtest"
)

// RandomVhdx makes dir/name with qemu-img and qemu-io, or with package vhdxtest. It damages
// most images, and then corrects most of the checksums.
func RandomVhdx(tb testing.TB, rng *rand.Rand, dir, name string) {
	tb.Helper()
	path := filepath.Join(dir, name)
	if rng.Intn(3) == 0 {
		vhdxtest.Random(rng).WriteFile(tb, path)
	} else {
		size := int64(rng.Intn(20 << 20))
		options := []string{fmt.Sprintf("block_state_zero=%t", rng.Intn(2) == 0),
			fmt.Sprintf("log_size=%dM", 1+rng.Intn(2)),
			fmt.Sprintf("block_size=%dM", 1<<rng.Intn(4))}
		if rng.Intn(4) == 0 {
			options = append(options, "subformat=fixed")
		}
		create(tb, dir, name, "vhdx", options, size)
		writeBlocks(tb, rng, path, "vhdx", size, 1<<20)
	}
	if rng.Intn(10) == 0 {
		shorten(tb, rng, path)
	}
	if rng.Intn(3) > 0 {
		damageVhdx(tb, rng, path)
	}
}

// damageVhdx changes fields of the headers, the region table, the metadata or the BAT.
func damageVhdx(tb testing.TB, rng *rand.Rand, path string) {
	tb.Helper()
	le := binary.LittleEndian
	read := func(off int64, n int) []byte {
		f, err := os.Open(path)
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		b := make([]byte, n)
		f.ReadAt(b, off) // bytes past the end stay zero
		return b
	}
	table := read(vhdxtest.Regions, 128)
	var at [2]uint64 // offsets of the BAT and of the metadata
	for i := range 2 {
		e := table[16+32*i:]
		k := 0
		if string(e[:16]) == vhdxtest.MetadataGUID {
			k = 1
		}
		at[k] = le.Uint64(e[16:])
	}
	sums := func(off int64, n int) {
		if rng.Intn(8) == 0 {
			return
		}
		b := read(off, n)
		vhdxtest.Sum(b)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(b, off); err != nil {
			tb.Fatal(err)
		}
	}
	switch rng.Intn(5) {
	case 0:
		spoil(tb, rng, path, le, region{vhdxtest.Header1, 80}, region{vhdxtest.Header2, 80})
		sums(vhdxtest.Header1, 4096)
		sums(vhdxtest.Header2, 4096)
	case 1:
		spoil(tb, rng, path, le, region{vhdxtest.Regions, 80})
		sums(vhdxtest.Regions, 64<<10)
	case 2:
		spoil(tb, rng, path, le, region{at[1], 32 * 6})
	case 3:
		spoil(tb, rng, path, le, region{at[1] + 64<<10, 40})
	case 4:
		spoil(tb, rng, path, le, region{at[0], 80})
	}
}

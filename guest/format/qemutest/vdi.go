package qemutest

import (
	"encoding/binary"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"instarfs/guest/format/vdi/vditest"
)

// RandomVdi makes dir/name with qemu-img and qemu-io, or with package vditest. It damages some
// images. It returns the path.
func RandomVdi(tb testing.TB, rng *rand.Rand, dir, name string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if rng.Intn(3) == 0 {
		if err := os.WriteFile(path, vditest.Random(rng).Bytes(), 0o666); err != nil {
			tb.Fatal(err)
		}
		if err := os.Truncate(path, int64(rng.Intn(1<<24))); err != nil {
			tb.Fatal(err)
		}
	} else {
		size := int64(rng.Intn(20 << 20))
		var options []string
		if rng.Intn(2) == 0 {
			options = []string{"static=on"}
		}
		create(tb, dir, name, "vdi", options, size)
		writeBlocks(tb, rng, path, "vdi", size, vditest.BlockLen)
	}
	if rng.Intn(8) == 0 {
		shorten(tb, rng, path)
	}
	switch rng.Intn(4) {
	case 0: // the map
		spoil(tb, rng, path, binary.LittleEndian, region{512, 80})
	case 1: // the header
		spoil(tb, rng, path, binary.LittleEndian, region{0x40, 16}, region{0x150, 0x34},
			region{0x1a8, 32})
	}
	return path
}

package formattest

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
)

// RandomVhdx makes dir/name: by qemu-img and qemu-io, or by the builder with a log of entries that are mostly right. Some are
// damaged afterwards, most of these with checksums that are right again.
func RandomVhdx(tb testing.TB, rng *rand.Rand, dir, name string) {
	tb.Helper()
	path := filepath.Join(dir, name)
	if rng.Intn(3) == 0 {
		builtVhdx(rng).WriteFile(tb, path)
	} else {
		size := int64(rng.Intn(20 << 20))
		options := []string{fmt.Sprintf("block_state_zero=%t", rng.Intn(2) == 0), fmt.Sprintf("log_size=%dM", 1+rng.Intn(2)),
			fmt.Sprintf("block_size=%dM", 1<<rng.Intn(4))}
		if rng.Intn(4) == 0 {
			options = append(options, "subformat=fixed")
		}
		create(tb, dir, name, "vhdx", options, size)
		blockHistory(tb, rng, path, "vhdx", size, 1<<20)
	}
	if rng.Intn(10) == 0 {
		Shorten(tb, rng, path)
	}
	if rng.Intn(3) > 0 {
		damageVhdx(tb, rng, path)
	}
}

// builtVhdx is an image with blocks in any state and something in its log.
func builtVhdx(rng *rand.Rand) *Sparse {
	v := NewVhdx(uint64(1+rng.Intn(12))<<20-uint64(rng.Intn(3))*512, 1<<20, 512)
	v.LogGUID = []string{"", "0123456789abcdef"}[rng.Intn(2)]
	for p := range (v.Size + 1<<20 - 1) >> 20 {
		switch state := uint64(rng.Intn(10)); {
		case state < 6:
			v.BAT[v.Index(p)] = state
		case state < 9:
			v.Block(p, VhdxPresent)
		default:
			v.Block(p, VhdxPartially)
		}
	}
	s := v.Image()
	at := uint64(rng.Intn(256)) * 4096
	for n := range rng.Intn(4) {
		e := &VhdxEntry{GUID: "0123456789abcdef", Sequence: uint64(10 + n*(1+rng.Intn(2))), Tail: uint32(at)}
		for range rng.Intn(5) {
			c := VhdxChange{Off: uint64(rng.Intn(2000)) * 4096, Length: 4096}
			if rng.Intn(2) == 0 {
				c.Data = make([]byte, 4096)
			}
			e.Changes = append(e.Changes, c)
		}
		b := e.Bytes()
		switch rng.Intn(8) {
		case 0:
			b[rng.Intn(len(b))] ^= 1
		case 1:
			b[rng.Intn(100)] ^= 1 << rng.Intn(8)
			VhdxSum(b)
		}
		at = v.PutLog(s, at, b)
	}
	return s
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
		f.ReadAt(b, off) // what is behind the end is zero
		return b
	}
	table := read(VhdxRegions, 128)
	var at [2]uint64 // of the BAT and of the metadata
	for i := range 2 {
		e := table[16+32*i:]
		k := 0
		if string(e[:16]) == vhdxMetadata {
			k = 1
		}
		at[k] = le.Uint64(e[16:])
	}
	sums := func(off int64, n int) {
		if rng.Intn(8) == 0 {
			return
		}
		b := read(off, n)
		VhdxSum(b)
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
		SpoilRegions(tb, rng, path, le, Region{VhdxHeader1, 80}, Region{VhdxHeader2, 80})
		sums(VhdxHeader1, 4096)
		sums(VhdxHeader2, 4096)
	case 1:
		SpoilRegions(tb, rng, path, le, Region{VhdxRegions, 80})
		sums(VhdxRegions, 64<<10)
	case 2:
		SpoilRegions(tb, rng, path, le, Region{at[1], 32 * 6})
	case 3:
		SpoilRegions(tb, rng, path, le, Region{at[1] + 64<<10, 40})
	case 4:
		SpoilRegions(tb, rng, path, le, Region{at[0], 80})
	}
}

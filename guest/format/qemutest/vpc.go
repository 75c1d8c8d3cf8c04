package qemutest

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"instarfs/guest/format/vpc/vpctest"
)

// RandomVpc makes dir/name with qemu-img and qemu-io, or with package vpctest. It damages some
// images. It reports whether the image is a fixed one, whose format a probe cannot recognize.
func RandomVpc(tb testing.TB, rng *rand.Rand, dir, name string) (fixed bool) {
	tb.Helper()
	path := filepath.Join(dir, name)
	switch rng.Intn(3) {
	case 0:
		kind := []uint32{vpctest.Dynamic, vpctest.Dynamic, vpctest.Differencing, vpctest.Fixed,
			7}[rng.Intn(5)]
		v := vpctest.Random(rng, vpctest.Dynamic)
		v.Type = kind // a fixed image has a second footer at its start
		b := v.Bytes()
		if kind == vpctest.Fixed && rng.Intn(2) == 0 {
			fixed = true
			b = append(make([]byte, v.Size), b...)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			tb.Fatal(err)
		}
	default:
		size := int64(rng.Intn(20 << 20))
		options := []string{fmt.Sprintf("force_size=%t", rng.Intn(2) == 0)}
		if rng.Intn(3) == 0 {
			fixed = true
			options = append(options, "subformat=fixed")
		}
		create(tb, dir, name, "vpc", options, size)
		writeBlocks(tb, rng, path, "vpc", size, 2<<20)
	}
	if rng.Intn(10) == 0 {
		shorten(tb, rng, path)
	}
	be := binary.BigEndian
	switch rng.Intn(6) {
	case 0: // the table of an image of qemu-img, and that of an image of vpctest
		spoil(tb, rng, path, be, region{1536, 40}, region{vpctest.Table, 40})
	case 1:
		spoil(tb, rng, path, be, region{vpctest.Header, 48})
	case 2: // the first footer, or the last, mostly with a correct checksum
		st, err := os.Stat(path)
		if err != nil {
			tb.Fatal(err)
		}
		at := uint64(0)
		if n := uint64(st.Size()); n >= 512 && fixed {
			at = n - 512
		}
		spoil(tb, rng, path, be, region{at, 16}, region{at + 16, 8}, region{at + 28, 40},
			region{at + 48, 16})
		if rng.Intn(4) > 0 {
			sumVpc(tb, path, int64(at))
		}
	}
	return fixed
}

// sumVpc corrects the checksum of the footer at off.
func sumVpc(tb testing.TB, path string, off int64) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 512)
	f.ReadAt(b, off) // bytes past the end stay zero
	vpctest.Sum(b)
	if _, err := f.WriteAt(b, off); err != nil {
		tb.Fatal(err)
	}
}

package formattest

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the makers of random images have in common whose formats are a table of large blocks: VDI, VHD, VHDX.

// create has qemu-img make dir/name.
func create(tb testing.TB, dir, name, format string, options []string, size int64) string {
	tb.Helper()
	args := []string{"create", "-q", "-f", format}
	if len(options) > 0 {
		args = append(args, "-o", strings.Join(options, ","))
	}
	run(tb, dir, "qemu-img", append(args, name, fmt.Sprint(size))...)
	return filepath.Join(dir, name)
}

// blockHistory gives an image of size bytes a few random writes: within blocks, over their borders, of zeroes, and discards.
// What a format cannot do fails, and leaves the image as it is.
func blockHistory(tb testing.TB, rng *rand.Rand, path, format string, size, block int64) {
	tb.Helper()
	var args []string
	for range rng.Intn(10) {
		if size < 512 {
			break
		}
		off := rng.Int63n(size) / 512 * 512
		length := min(512*(1+rng.Int63n(40)), size-off)
		if rng.Intn(3) == 0 {
			off = off / block * block
			length = min(block*(1+rng.Int63n(2)), size-off)
		}
		length = min(length/512*512, 4<<20)
		if length == 0 {
			continue
		}
		verb := "write -P 7"
		switch rng.Intn(6) {
		case 0:
			verb = "write -z"
		case 1:
			verb = "write -z -u"
		case 2:
			verb = "discard"
		}
		args = append(args, "-c", fmt.Sprintf("%s %d %d", verb, off, length))
	}
	if len(args) == 0 {
		return
	}
	cmd := exec.Command(Tool(tb, "qemu-io"), append(append([]string{"-f", format, "-d", "unmap"}, args...), path)...)
	_ = cmd.Run()
}

// Region is a part of a file in which a test changes fields.
type Region struct{ Off, Len uint64 }

// SpoilRegions changes a few fields of 4 bytes of a file, in the ways in which tables and headers go wrong.
func SpoilRegions(tb testing.TB, rng *rand.Rand, path string, order binary.ByteOrder, regions ...Region) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for range 1 + rng.Intn(3) {
		r := regions[rng.Intn(len(regions))]
		off := int64(r.Off + uint64(rng.Int63n(int64(r.Len)))&^3)
		var b [4]byte
		f.ReadAt(b[:], off) // what is behind the end is zero
		v := order.Uint32(b[:])
		switch rng.Intn(8) {
		case 0:
			v ^= 1 << rng.Intn(32)
		case 1:
			v++
		case 2:
			v--
		case 3:
			v = 0
		case 4:
			v = 0xffffffff
		case 5:
			v = 0xfffffffe
		case 6:
			v = rng.Uint32()
		case 7:
			v = uint32(rng.Intn(64))
		}
		order.PutUint32(b[:], v)
		if _, err := f.WriteAt(b[:], off); err != nil {
			tb.Fatal(err)
		}
	}
}

// Shorten cuts a random part off the end of a file, more often a little than much.
func Shorten(tb testing.TB, rng *rand.Rand, path string) {
	tb.Helper()
	st, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	n := rng.Int63n(st.Size() + 1)
	if rng.Intn(2) == 0 {
		n = max(0, st.Size()-rng.Int63n(2000))
	}
	if err := os.Truncate(path, n); err != nil {
		tb.Fatal(err)
	}
}

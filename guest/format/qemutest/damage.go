package qemutest

import (
	"encoding/binary"
	"math/rand"
	"os"
	"testing"
)

// region is a part of a file, in bytes.
type region struct{ off, length uint64 }

// spoil changes a few fields of 4 bytes in regions of a file.
func spoil(tb testing.TB, rng *rand.Rand, path string, order binary.ByteOrder,
	regions ...region) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for range 1 + rng.Intn(3) {
		r := regions[rng.Intn(len(regions))]
		off := int64(r.off + uint64(rng.Int63n(int64(r.length)))&^3)
		var b [4]byte
		f.ReadAt(b[:], off) // bytes past the end stay zero
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

// shorten cuts off the end of a file, mostly a small part.
func shorten(tb testing.TB, rng *rand.Rand, path string) {
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

// truncate cuts off the end of a file, but leaves the first 4096 bytes.
func truncate(tb testing.TB, rng *rand.Rand, path string) {
	tb.Helper()
	st, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	if st.Size() <= 4096 {
		return
	}
	if err := os.Truncate(path, 4096+rng.Int63n(st.Size()-4096)); err != nil {
		tb.Fatal(err)
	}
}

// Garble overwrites a few of the first start bytes of a file, and sometimes truncates the file
// after them.
func Garble(tb testing.TB, rng *rand.Rand, path string, start int64) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	for range 1 + rng.Intn(3) {
		b := []byte{byte(rng.Intn(256))}
		if rng.Intn(3) == 0 {
			b = []byte{0xff, 0xff, 0xff, 0xff}
		}
		if _, err := f.WriteAt(b, rng.Int63n(start)); err != nil {
			tb.Fatal(err)
		}
	}
	if rng.Intn(4) == 0 && st.Size() > start {
		if err := f.Truncate(start + rng.Int63n(st.Size()-start)); err != nil {
			tb.Fatal(err)
		}
	}
}

package qemutest

import (
	"math/rand"
	"os"
	"path/filepath"
	"testing"
)

// RandomRaw makes dir/name with data and holes. Its size is seldom a multiple of anything. It
// returns the path.
func RandomRaw(tb testing.TB, rng *rand.Rand, dir, name string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	n := int64(rng.Intn(1 << (4 + rng.Intn(20))))
	if err := f.Truncate(n); err != nil {
		tb.Fatal(err)
	}
	for range rng.Intn(8) {
		if n == 0 {
			break
		}
		off := rng.Int63n(n)
		b := make([]byte, min(1+rng.Int63n(3<<13), n-off))
		rng.Read(b)
		if _, err := f.WriteAt(b, off); err != nil {
			tb.Fatal(err)
		}
	}
	return path
}

package parallels

import (
	gomd5 "crypto/md5"
	"math/rand"
	"testing"
)

func TestMD5(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for n := range 300 {
		b := make([]byte, n)
		rng.Read(b)
		m := newMD5()
		for rest := b; len(rest) > 0; {
			k := min(1+rng.Intn(100), len(rest))
			m.write(rest[:k])
			rest = rest[k:]
		}
		if got, want := m.sum(), gomd5.Sum(b); got != want {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

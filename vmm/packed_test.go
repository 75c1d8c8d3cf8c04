package vmm

import (
	"bytes"
	"math/rand"
	"testing"

	"instarfs/vmm/space"
)

// TestPacked: any page comes out as it went in, whatever was in its place, and sparse ones are
// small.
func TestPacked(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for words := 0; words <= space.PageLen/8; words++ {
		page := make([]byte, space.PageLen)
		for range words {
			page[rng.Intn(len(page))] = byte(1 + rng.Intn(255))
		}
		p := pack(page)
		if !p.sound() || len(p) > bitmapLen+8*words {
			t.Fatalf("%d words: %d bytes", words, len(p))
		}
		got := bytes.Repeat([]byte{0xaa}, space.PageLen)
		if p.unpack(got); !bytes.Equal(got, page) {
			t.Fatalf("%d words: another page", words)
		}
	}
	full := bytes.Repeat([]byte{1}, space.PageLen)
	if p := pack(full); len(p) != len(full) || !p.sound() {
		t.Error(len(p))
	}
}

func TestUnsoundPages(t *testing.T) {
	sparse := pack(append([]byte{1}, make([]byte, space.PageLen-1)...))
	for _, p := range []packed{nil, make(packed, bitmapLen-1), sparse[:len(sparse)-1],
		append(bytes.Clone(sparse), 0), make(packed, space.PageLen+1)} {
		if p.sound() {
			t.Errorf("%d bytes are sound", len(p))
		}
	}
}

package vmm

import (
	"bytes"
	"math/bits"

	"instarfs/vmm/space"
)

// packed is a page of a snapshot: as it is or, since most are page tables with a few entries, a
// bitmap of its words that are not zero, and these words.
type packed []byte

const bitmapLen = space.PageLen / 8 / 8

func pack(page []byte) packed {
	p := make(packed, bitmapLen, space.PageLen)
	for i := 0; i < space.PageLen; i += 8 {
		word := page[i : i+8]
		if le.Uint64(word) == 0 {
			continue
		}
		if len(p)+8 >= space.PageLen {
			return bytes.Clone(page)
		}
		p[i/64] |= 1 << (i / 8 % 8)
		p = append(p, word...)
	}
	return bytes.Clone(p)
}

// sound reports whether p can be unpacked.
func (p packed) sound() bool {
	if len(p) < bitmapLen || len(p) == space.PageLen {
		return len(p) == space.PageLen
	}
	words := 0
	for _, b := range p[:bitmapLen] {
		words += bits.OnesCount8(b)
	}
	return len(p) == bitmapLen+8*words
}

// unpack fills a page.
func (p packed) unpack(page []byte) {
	if len(p) == space.PageLen {
		copy(page, p)
		return
	}
	clear(page)
	words := p[bitmapLen:]
	for i, b := range p[:bitmapLen] {
		for ; b != 0; b &= b - 1 {
			copy(page[i*64+bits.TrailingZeros8(b)*8:], words[:8])
			words = words[8:]
		}
	}
}

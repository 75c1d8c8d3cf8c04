package vhdxtest

import (
	"math/rand"

	"instarfs/guest/format/formattest"
)

// Random returns an image with blocks in any state, and entries in its log that are mostly right.
func Random(rng *rand.Rand) *formattest.Sparse {
	v := New(uint64(1+rng.Intn(12))<<20-uint64(rng.Intn(3))*512, 1<<20, 512)
	v.LogGUID = []string{"", "0123456789abcdef"}[rng.Intn(2)]
	for p := range (v.Size + 1<<20 - 1) >> 20 {
		switch state := uint64(rng.Intn(10)); {
		case state < 6:
			v.BAT[v.Index(p)] = state
		case state < 9:
			v.Block(p, Present)
		default:
			v.Block(p, Partially)
		}
	}
	s := v.File()
	at := uint64(rng.Intn(256)) * 4096
	for n := range rng.Intn(4) {
		sequence := uint64(10 + n*(1+rng.Intn(2)))
		e := &Entry{GUID: "0123456789abcdef", Sequence: sequence, Tail: uint32(at)}
		for range rng.Intn(5) {
			c := Change{Off: uint64(rng.Intn(2000)) * 4096, Length: 4096}
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
			Sum(b)
		}
		at = v.PutLog(s, at, b)
	}
	return s
}

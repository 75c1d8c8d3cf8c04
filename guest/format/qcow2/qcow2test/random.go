package qcow2test

import "math/rand"

// Types of header extensions.
const (
	ExtensionBackingFormat = 0xe2792aca
	ExtensionFeatures      = 0x6803f857
	ExtensionCrypto        = 0x0537be77
	ExtensionBitmaps       = 0x23852875
	ExtensionDataFile      = 0x44415441
)

// RandomEntries returns an image with runs of every kind of L2 entry, contiguous or not. How
// often an entry is wrong varies from never to often. A quarter of the images of version 3 have
// the data file of the given name, unless that is empty.
func RandomEntries(rng *rand.Rand, dataFile string) *Image {
	bits := uint(9 + rng.Intn(13))
	q := New(0, bits)
	q.RefcountOrder = uint32(rng.Intn(7))
	switch rng.Intn(5) {
	case 0:
		q.Version = 2
		q.RefcountOrder = 4
	case 1, 2, 3:
		q.ExtendedL2 = bits >= 14
	}
	external := q.Version == 3 && dataFile != "" && rng.Intn(4) == 0
	if external {
		q.Incompatible |= 1 << 2
		q.Extensions = append(q.Extensions, Extension{ExtensionDataFile, []byte(dataFile)})
	}
	clusters := uint64(1 + rng.Intn(300))
	if rng.Intn(6) == 0 {
		clusters += uint64(rng.Intn(3000))
	}
	q.Size = clusters<<bits - uint64(rng.Intn(1<<bits))
	g := entries{rng, q, external, []int{0, 0, 300, 40, 8}[rng.Intn(5)]}
	for c := uint64(0); c < clusters; {
		n := min(uint64(1+rng.Intn(1+rng.Intn(40))), clusters-c)
		g.run(c, n)
		c += n
	}
	q.start() // all runs may have been of unallocated clusters
	for range rng.Intn(3) {
		if g.wrong > 0 && rng.Intn(4) == 0 {
			*q.L1(uint64(rng.Intn(len(q.l1)))) ^= 0x200 << rng.Intn(int(bits)-8)
		}
	}
	return q
}

type entries struct {
	*rand.Rand
	q        *Image
	external bool
	wrong    int // one entry in this many is wrong; 0 means none
}

func (g *entries) fails() bool { return g.wrong > 0 && g.Intn(g.wrong) == 0 }

// run gives n clusters from c on entries of one kind.
func (g *entries) run(c, n uint64) {
	kind := g.Intn(6)
	host := uint64(1+g.Intn(1<<20)) << g.q.ClusterBits
	bitmap := g.bitmap()
	for i := range n {
		e := host + i<<g.q.ClusterBits
		if g.external {
			e = (c+i)<<g.q.ClusterBits | EntryCopied
		}
		present := true
		switch kind {
		case 0:
			continue
		case 1:
			if g.external {
				continue
			}
			e |= EntryCompressed
		case 2:
			e, present = 0, false
		}
		if g.fails() {
			e ^= 0x200 << g.Intn(int(g.q.ClusterBits)-8)
		}
		if g.fails() {
			e |= EntryCompressed
		}
		switch {
		case g.q.ExtendedL2:
			if g.Intn(5) == 0 {
				bitmap = g.bitmap()
			}
			b := bitmap
			if !present {
				b &= 0xffffffff << 32
			}
			if g.fails() {
				b |= 1 << g.Intn(64)
			}
			*g.q.Bitmap(c + i) = b
		case (kind == 2 || kind == 3) && (g.q.Version > 2 || g.fails()):
			e |= EntryZero
		}
		*g.q.Entry(c + i) = e
	}
}

// bitmap returns a valid subcluster bitmap of a cluster that is present: often of one kind,
// otherwise of a few pieces.
func (g *entries) bitmap() uint64 {
	var b uint64
	for from := 0; from < 32; {
		n := 32
		if g.Intn(2) == 0 {
			n = 1 + g.Intn(31)
		}
		piece := uint64(1)<<min(n, 32-from) - 1
		switch g.Intn(3) {
		case 0:
			b |= piece << from
		case 1:
			b |= piece << (32 + from)
		}
		from += n
	}
	return b
}

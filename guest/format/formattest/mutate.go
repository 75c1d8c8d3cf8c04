package formattest

import (
	"encoding/binary"
	"math/rand"
)

// Region is a part of a file that holds metadata, in bytes.
type Region struct{ Off, Len uint64 }

// Patch is bytes that overwrite a part of a finished image.
type Patch struct {
	Off   uint64 // bytes
	Bytes []byte
}

// Mutate changes a file's bytes in place, and returns them, for some files are cut or made longer.
// Most changes are in the regions, which are where its metadata lies: bits are flipped, numbers set
// to what is seldom tested, entries swapped or copied over others.
func Mutate(rng *rand.Rand, b []byte, regions ...Region) []byte {
	for range 1 + rng.Intn(3) {
		r := regions[rng.Intn(len(regions))]
		if r.Off >= uint64(len(b)) {
			continue
		}
		m := mutation{rng, b[r.Off:min(r.Off+r.Len, uint64(len(b)))]}
		switch kind := rng.Intn(16); {
		case kind < 4:
			m.flip()
		case kind < 6:
			m.region[rng.Intn(len(m.region))] = byte(rng.Intn(256))
		case kind < 10:
			m.number()
		case kind < 12:
			m.entries(true)
		case kind < 14:
			m.entries(false)
		case kind == 14:
			b = b[:cut(rng, len(b), r)]
		default:
			b = append(b, make([]byte, rng.Intn(2000))...)
		}
	}
	return b
}

// mutation changes a region, which is not empty.
type mutation struct {
	*rand.Rand
	region []byte
}

func (m mutation) flip() { m.region[m.Intn(len(m.region))] ^= 1 << m.Intn(8) }

// field returns an aligned field of 1, 2, 4 or 8 bytes, or nil if the region is too small.
func (m mutation) field(width int) []byte {
	n := len(m.region) / width
	if n == 0 {
		return nil
	}
	return m.region[m.Intn(n)*width:][:width]
}

// number replaces the number in a field, in either byte order, by another.
func (m mutation) number() {
	width := 1 << m.Intn(4)
	field := m.field(width)
	if field == nil {
		return
	}
	little := m.Intn(2) == 0
	var wide [8]byte
	place := func() []byte {
		if little {
			return wide[:width]
		}
		return wide[8-width:]
	}
	copy(place(), field)
	order := binary.ByteOrder(binary.BigEndian)
	if little {
		order = binary.LittleEndian
	}
	v := order.Uint64(wide[:])
	switch m.Intn(9) {
	case 0:
		v = 0
	case 1:
		v = ^uint64(0)
	case 2:
		v += uint64(m.Intn(5)) - 2
	case 3:
		v = 1 << m.Intn(64)
	case 4:
		v = 1<<m.Intn(64) - 1
	case 5:
		v <<= m.Intn(12)
	case 6:
		v >>= m.Intn(12)
	case 7:
		v ^= 1 << (8*width - 1 - m.Intn(2))
	default:
		v = RandomNumber(m.Rand)
	}
	order.PutUint64(wide[:], v)
	copy(field, place())
}

// entries swaps two fields of a size, or copies one over the other.
func (m mutation) entries(swap bool) {
	width := 4 << m.Intn(2)
	a, b := m.field(width), m.field(width)
	if a == nil {
		return
	}
	old := append([]byte(nil), a...)
	copy(a, b)
	if swap {
		copy(b, old)
	}
}

// cut is a new length of a file: in or just past the region, near the end, or anywhere.
func cut(rng *rand.Rand, n int, r Region) int {
	switch rng.Intn(4) {
	case 0:
		return min(n, int(r.Off)+rng.Intn(int(r.Len)+600))
	case 1, 2:
		return max(0, n-rng.Intn(2000))
	}
	return rng.Intn(n + 1)
}

package render

import (
	"encoding/binary"
	"math/bits"
)

// powers are the powers of ten that fit.
var powers = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return
}()

// decimalLen is the number of decimal digits of v, 1 for zero.
func decimalLen(v uint64) int {
	v |= 1 // zero has a digit too; no other number gets one more, for powers of ten are even
	// 1233/4096 is a little more than log10(2): n is the number of digits or one too few, for every
	// length of v in bits.
	n := bits.Len64(v) * 1233 >> 12
	if v >= powers[n] {
		n++
	}
	return n
}

// eight is the digits of v, below 10^8, with leading zeroes and the first digit in the lowest byte:
// v is halved into groups of digits three times, all groups of a step in one multiplication.
func eight(v uint64) uint64 {
	v = v/10000 | v%10000<<32
	q := v * 10486 >> 20 & 0x0000_007f_0000_007f // group / 100
	v = q | (v-q*100)<<16
	q = v * 103 >> 10 & 0x000f_000f_000f_000f // group / 10
	return q | (v-q*10)<<8
}

// eight is the function eight, which need not work out the same digits twice in a row.
func (w *width) eight(v uint64) uint64 {
	if v != w.front {
		w.front, w.digits = v, eight(v)
	}
	return w.digits
}

const asciiZeroes = 0x3030_3030_3030_3030

// width remembers the number written last in a column, since the next one is much like it: of the
// same number of digits, so that the processor can write what follows before the number itself is
// known, and often of the same digits: all of them up to eight, as lengths are, or those in front
// of the last eight. The zero value is ready for use.
type width struct {
	n        int
	lo, span uint64 // numbers of n digits are those in [lo, lo+span)
	front    uint64 // what was given to eight last
	digits   uint64 // what that returned
}

func (w *width) of(v uint64) int {
	if v-w.lo >= w.span {
		w.move(v)
	}
	return w.n
}

func (w *width) move(v uint64) {
	w.n, w.lo, w.span = decimalLen(v), 0, 10
	if w.n > 1 {
		w.lo = powers[w.n-1]
		w.span = 9 * w.lo
		if w.n == len(powers) {
			w.span = -w.lo // up to 2^64
		}
	}
}

// digitsRoom is the space that width.put may write into.
const digitsRoom = 24

// put writes v at the front of b and returns the number of digits. What it writes behind them is
// garbage.
func (w *width) put(b *[digitsRoom]byte, v uint64) int {
	const e8, e16 = 1e8, 1e16
	switch n := w.of(v); {
	case n == 1:
		b[0] = byte('0' + v)
		return 1
	case n <= 8:
		putLeading(b, w.eight(v), n)
		return n
	case n <= 16:
		high := v / e8
		putLeading(b, w.eight(high), n-8)
		binary.LittleEndian.PutUint64(b[n-8:], eight(v-high*e8)|asciiZeroes)
		return n
	default:
		putLeading(b, eight(v/e16), n-16)
		v %= e16
		binary.LittleEndian.PutUint64(b[n-16:], eight(v/e8)|asciiZeroes)
		binary.LittleEndian.PutUint64(b[n-8:], eight(v%e8)|asciiZeroes)
		return n
	}
}

// putLeading writes the last n of eight digits.
func putLeading(b *[digitsRoom]byte, digits uint64, n int) {
	binary.LittleEndian.PutUint64(b[:], (digits|asciiZeroes)>>((64-8*uint(n))&63))
}

// hexLen is the length of v in the way C prints it with %#x: 0, or 0x and its digits.
func hexLen(v uint64) int {
	if v == 0 {
		return 1
	}
	return 2 + (bits.Len64(v)+3)/4
}

// putHex writes v in hexLen(v) bytes at the front of b.
func putHex(b []byte, v uint64) int {
	const digits = "0123456789abcdef"
	n := hexLen(v)
	b = b[:n]
	for i := n - 1; i > 1; i-- {
		b[i] = digits[v&15]
		v >>= 4
	}
	b[0] = '0'
	if n > 1 {
		b[1] = 'x'
	}
	return n
}

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
	// 1233/4096 is a little more than log10(2): n is the number of digits or one too few, for every length of v in bits.
	n := bits.Len64(v) * 1233 >> 12
	if v >= powers[n] {
		n++
	}
	return n
}

// eight is the digits of v, below 10^8, with leading zeroes and the first digit in the lowest byte: v is halved into groups
// of digits three times, all groups of a step in one multiplication.
func eight(v uint64) uint64 {
	v = v/10000 | v%10000<<32
	q := v * 10486 >> 20 & 0x0000_007f_0000_007f // group / 100
	v = q | (v-q*100)<<16
	q = v * 103 >> 10 & 0x000f_000f_000f_000f // group / 10
	return q | (v-q*10)<<8
}

const asciiZeroes = 0x3030_3030_3030_3030

// putDecimal writes v in decimal at the front of b and returns the number of digits. b has room for 24 bytes; those behind
// the digits are garbage.
func putDecimal(b []byte, v uint64) int {
	_ = b[23]
	n := 0
	const e8, e16 = 1e8, 1e16
	switch {
	case v >= e16:
		n = putLeading(b, v/e16)
		v %= e16
		binary.LittleEndian.PutUint64(b[n:], eight(v/e8)|asciiZeroes)
		binary.LittleEndian.PutUint64(b[n+8:], eight(v%e8)|asciiZeroes)
		return n + 16
	case v >= e8:
		n = putLeading(b, v/e8)
		binary.LittleEndian.PutUint64(b[n:], eight(v%e8)|asciiZeroes)
		return n + 8
	case v < 10:
		b[0] = byte('0' + v)
		return 1
	default:
		return putLeading(b, v)
	}
}

// putLeading writes v, below 10^8, without leading zeroes.
func putLeading(b []byte, v uint64) int {
	n := decimalLen(v)
	binary.LittleEndian.PutUint64(b, (eight(v)|asciiZeroes)>>(64-8*uint(n)))
	return n
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

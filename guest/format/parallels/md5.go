package parallels

import (
	"encoding/binary"
	"math/bits"
)

// md5 computes MD5 (RFC 1321). crypto/md5 would link package os into the guest.
type md5 struct {
	state  [4]uint32
	rest   []byte // less than a block
	length uint64 // bytes
}

const (
	md5Size  = 16
	md5Block = 64
)

func newMD5() *md5 { return &md5{state: [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}} }

// md5Shifts are the rotations of the rounds, each four times over.
var md5Shifts = [4][4]int{{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}

// md5Sines are the 64 constants floor(2^32 * |sin(i+1)|).
var md5Sines = [64]uint32{
	0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
	0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
	0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
	0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
	0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
	0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
	0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
	0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
}

func (m *md5) write(b []byte) {
	m.length += uint64(len(b))
	if len(m.rest) > 0 {
		n := min(md5Block-len(m.rest), len(b))
		m.rest = append(m.rest, b[:n]...)
		b = b[n:]
		if len(m.rest) < md5Block {
			return
		}
		m.block(m.rest)
		m.rest = m.rest[:0]
	}
	for ; len(b) >= md5Block; b = b[md5Block:] {
		m.block(b)
	}
	m.rest = append(m.rest, b...)
}

func (m *md5) block(b []byte) {
	var x [16]uint32
	for i := range x {
		x[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	a, c := m.state, uint32(0)
	for i := range 64 {
		var f uint32
		var g int
		switch round := i / 16; round {
		case 0:
			f, g = a[1]&a[2]|^a[1]&a[3], i
		case 1:
			f, g = a[3]&a[1]|^a[3]&a[2], 5*i+1
		case 2:
			f, g = a[1]^a[2]^a[3], 3*i+5
		default:
			f, g = a[2]^(a[1]|^a[3]), 7*i
		}
		c = a[1] + bits.RotateLeft32(a[0]+f+md5Sines[i]+x[g%16], md5Shifts[i/16][i%4])
		a[0], a[3], a[2], a[1] = a[3], a[2], a[1], c
	}
	for i := range m.state {
		m.state[i] += a[i]
	}
}

// sum returns the checksum. No write may follow.
func (m *md5) sum() (s [md5Size]byte) {
	length := m.length * 8
	m.write([]byte{0x80})
	for len(m.rest) != md5Block-8 {
		m.write([]byte{0})
	}
	m.write(binary.LittleEndian.AppendUint64(nil, length))
	for i, v := range m.state {
		binary.LittleEndian.PutUint32(s[4*i:], v)
	}
	return s
}

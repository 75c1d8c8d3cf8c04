// Package spacetest makes programs for tests.
package spacetest

import (
	"debug/elf"
	"encoding/binary"
)

// Where the two segments of a program are, guest-virtual.
const (
	CodeVA = 0x400000
	DataVA = 0x600000
)

var le = binary.LittleEndian

// ELF returns an executable that begins with the first byte of code. Its second segment is data, of
// one byte at least, which it can write.
func ELF(code, data []byte) []byte {
	const headers = 64 + 2*56
	if len(data) == 0 {
		data = []byte{0}
	}
	b := make([]byte, headers, headers+len(code)+len(data))
	copy(b, elf.ELFMAG+"\x02\x01\x01")
	le.PutUint16(b[16:], uint16(elf.ET_EXEC))
	le.PutUint16(b[18:], uint16(elf.EM_X86_64))
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], CodeVA)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 2)
	le.PutUint16(b[58:], 64)
	segment := func(at []byte, flags elf.ProgFlag, off int, va uint64, n int) {
		le.PutUint32(at, uint32(elf.PT_LOAD))
		le.PutUint32(at[4:], uint32(flags))
		le.PutUint64(at[8:], uint64(off))
		le.PutUint64(at[16:], va)
		le.PutUint64(at[24:], va)
		le.PutUint64(at[32:], uint64(n))
		le.PutUint64(at[40:], uint64(n))
		le.PutUint64(at[48:], 1)
	}
	segment(b[64:], elf.PF_R|elf.PF_X, headers, CodeVA, len(code))
	segment(b[120:], elf.PF_R|elf.PF_W, headers+len(code), DataVA, len(data))
	return append(append(b, code...), data...)
}

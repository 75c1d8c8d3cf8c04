package space

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"sync"
)

// A guest is told no time: its clock goes forward by being looked at, a microsecond each time. The
// Go runtime looks at it so often that an exit for each would be half of a small run. So the guest
// gets what a Linux kernel gives its programs, a shared object in memory (vdso(7)) whose function
// needs no kernel. The time itself lies in a page that the program may write, for it fools nobody
// but itself.

const clockSymbol = "__vdso_clock_gettime"

// clockCode is int clock_gettime(clockid_t, struct timespec *): all nanoseconds since the start are
// in tv_nsec, which wraps after centuries.
func clockCode() []byte {
	b := []byte{0x48, 0xa1} // mov clockVA, %rax
	b = le.AppendUint64(b, ClockVA)
	b = append(b,
		0x48, 0x05, 0xe8, 0x03, 0, 0, // add $1000, %rax
		0x48, 0xa3) // mov %rax, clockVA
	b = le.AppendUint64(b, ClockVA)
	return append(b,
		0x48, 0xc7, 0x06, 0, 0, 0, 0, // movq $0, (%rsi)
		0x48, 0x89, 0x46, 0x08, // mov %rax, 8(%rsi)
		0x31, 0xc0, // xor %eax, %eax
		0xc3) // ret
}

// sharedObject returns the page at VDSOVA, which callers must not modify.
var sharedObject = sync.OnceValue(makeSharedObject)

// makeSharedObject makes it: the ELF file of a shared object with one function, as far as a program
// that looks for it reads. Addresses in it are offsets.
func makeSharedObject() []byte {
	const (
		programs = 64 // after the header
		dynamic  = programs + 2*56
		symbols  = dynamic + 6*16
		hash     = symbols + 2*24
		versions = hash + 5*4 + 4
		code     = versions + 24
	)
	text := clockCode()
	names := code + uint64(len(text))
	var b bytes.Buffer
	put := func(parts ...any) {
		for _, p := range parts {
			_ = binary.Write(&b, le, p) // structures of fixed size, into memory
		}
	}
	put(elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB),
			byte(elf.EV_CURRENT)},
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Phoff: programs, Ehsize: programs, Phentsize: 56, Phnum: 2,
	})
	put(elf.Prog64{Type: uint32(elf.PT_LOAD), Filesz: PageLen, Memsz: PageLen, Align: PageLen,
		Flags: uint32(elf.PF_R | elf.PF_X)})
	put(elf.Prog64{Type: uint32(elf.PT_DYNAMIC), Off: dynamic, Vaddr: dynamic,
		Flags: uint32(elf.PF_R)})
	for _, d := range []elf.Dyn64{
		{Tag: int64(elf.DT_HASH), Val: hash}, {Tag: int64(elf.DT_SYMTAB), Val: symbols},
		{Tag: int64(elf.DT_STRTAB), Val: names}, {Tag: int64(elf.DT_VERDEF), Val: versions},
		{Tag: int64(elf.DT_STRSZ), Val: uint64(len(clockSymbol) + 2)}, {},
	} {
		put(d)
	}
	put(elf.Sym64{}, elf.Sym64{Name: 1, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1,
		Value: code, Size: uint64(len(text))})
	// One bucket, two symbols; the bucket begins and ends with the second.
	put([]uint32{1, 2, 1, 0, 0}, uint32(0))
	// One version, the file's own (VER_FLG_BASE): symbols have none.
	put([]uint16{1, 1, 1, 0}, []uint32{0, 0, 0, 0})
	put(text, []byte("\x00"+clockSymbol+"\x00"))
	return b.Bytes()
}

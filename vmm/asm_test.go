package vmm

import (
	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/vmm/space/spacetest"
)

// Addresses of the tiny guests.
const (
	codeVA = spacetest.CodeVA
	dataVA = spacetest.DataVA
)

// asm assembles a guest program of a few instructions: x86-64, position dependent, one data
// segment.
type asm struct {
	code, data []byte
}

func (a *asm) raw(b ...byte) *asm {
	a.code = append(a.code, b...)
	return a
}

// imm loads a 64-bit constant into a register: 0 rax, 1 rcx, 2 rdx, 6 rsi, 7 rdi.
func (a *asm) imm(reg byte, v uint64) *asm {
	return a.raw(0x48, 0xb8+reg).raw(le.AppendUint64(nil, v)...)
}

const rax, rcx, rdx, rsi, rdi = 0, 1, 2, 6, 7

// store32 and store64 write a constant to an address; load32 reads one.
func (a *asm) store32(va uint64, v uint32) *asm {
	return a.imm(rax, va).imm(rcx, uint64(v)).raw(0x89, 0x08)
}
func (a *asm) store64(va, v uint64) *asm { return a.imm(rax, va).imm(rcx, v).raw(0x48, 0x89, 0x08) }
func (a *asm) load32(va uint64) *asm     { return a.imm(rax, va).raw(0x8b, 0x00) }

// bell rings a doorbell.
func (a *asm) bell(b uint64) *asm { return a.store32(abi.DoorbellVA+b, 1) }

// bell16 stores 16 bytes to a doorbell.
func (a *asm) bell16(b uint64) *asm {
	return a.imm(rax, abi.DoorbellVA+b).raw(0x0f, 0x11, 0x00) // movups [rax], xmm0
}

// ready ends the boot part.
func (a *asm) ready() *asm { return a.bell(abi.BellReady) }

// copy copies bytes to an address.
func (a *asm) copy(va uint64, b []byte) *asm {
	from := dataVA + uint64(len(a.data))
	a.data = append(a.data, b...)
	return a.imm(rsi, from).imm(rdi, va).imm(rcx, uint64(len(b))).raw(0xf3, 0xa4) // rep movsb
}

// syscall makes a system call of up to three arguments.
func (a *asm) syscall(nr uint64, args ...uint64) *asm {
	for i, v := range args {
		a.imm([]byte{rdi, rsi, rdx}[i], v)
	}
	return a.imm(rax, nr).raw(0x0f, 0x05)
}

// forever repeats the code that body adds.
func (a *asm) forever(body func()) *asm {
	start := len(a.code)
	body()
	back := int32(start - len(a.code) - 5)
	return a.raw(0xe9).raw(le.AppendUint32(nil, uint32(back))...)
}

func (a *asm) ud2() *asm { return a.raw(0x0f, 0x0b) }

// records puts extents into the ring and sets the ring's index.
func (a *asm) records(es ...extent.Extent) *asm {
	b := make([]byte, len(es)*abi.RecordLen)
	for i, e := range es {
		abi.PutRecord(b[i*abi.RecordLen:], e)
	}
	return a.copy(abi.SharedVA+abi.RingOffset, b).store64(abi.SharedVA+abi.RingControl,
		uint64(len(es)))
}

// result writes a result and rings Done.
func (a *asm) result(r abi.Result) *asm {
	b := make([]byte, abi.ResultLen)
	if _, err := r.Encode(b); err != nil {
		panic(err)
	}
	return a.copy(abi.SharedVA+abi.ResultOffset, b[:8192]).bell(abi.BellDone)
}

// elf is the program as an executable.
func (a *asm) elf() []byte { return spacetest.ELF(a.code, a.data) }

package space

import (
	"fmt"

	"instarfs/guest/abi"
)

// systemPages writes and maps what a processor in 64-bit mode needs beside page tables: GDT, TSS,
// IDT, the stack of exceptions, the trap page and the clock, and maps the shared window and the
// pages that ring. No code of ours runs at CPL0 but that of the trap page.
func systemPages(p *Paging) error {
	pages := []struct {
		va     uint64
		access uint64
		fill   []byte
	}{
		{TrapVA, userExec, trapPage()},
		{GDTVA, system, gdt()},
		{TSSVA, system, tss()},
		{IDTVA, system, idt()},
		{TrapStack - PageLen, system, nil},
		{VDSOVA, userExec, sharedObject()},
		{ClockVA, UserWrite, nil},
	}
	for _, s := range pages {
		f, err := p.frame()
		if err != nil {
			return err
		}
		b, err := p.Memory.Writable(f, PageLen)
		if err != nil {
			return err
		}
		copy(b, s.fill)
		if err := p.mapPage(s.va, f, s.access); err != nil {
			return err
		}
	}
	for off := uint64(0); off < abi.SharedLen; off += PageLen {
		if err := p.mapPage(abi.SharedVA+off, abi.SharedGPA+off, UserWrite); err != nil {
			return err
		}
	}
	if err := p.mapPage(abi.DeviceVA, abi.DeviceGPA, UserWrite); err != nil {
		return err
	}
	return p.mapPage(abi.DoorbellVA, abi.DoorbellGPA, UserWrite)
}

// gdt is the descriptor table (SDM vol. 3, 3.4.5). TR is loaded through KVM_SET_SREGS and needs no
// descriptor here.
func gdt() []byte {
	b := make([]byte, TSSSel)
	le.PutUint64(b[KernelCS:], 0x00af9b000000ffff)
	le.PutUint64(b[KernelSS:], 0x00cf93000000ffff)
	le.PutUint64(b[UserSS&^3:], 0x00cff3000000ffff)
	le.PutUint64(b[UserCS&^3:], 0x00affb000000ffff)
	return b
}

const TSSLen = 0x68

// tss is the task state segment (SDM vol. 3, 8.7): only RSP0, the stack of exceptions, is used. The
// I/O permission bitmap lies behind its limit, so that no port is the program's to use (SDM vol. 1,
// "I/O Permission Bit Map").
func tss() []byte {
	b := make([]byte, TSSLen)
	le.PutUint64(b[4:], TrapStack)
	le.PutUint16(b[102:], TSSLen)
	return b
}

// idt has an interrupt gate for each exception (SDM vol. 3, 6.14.1).
func idt() []byte {
	b := make([]byte, Vectors*16)
	for i := range uint64(Vectors) {
		h := TrapVA + VectorOffset + i*VectorStride
		const presentInterruptGate = 0x8e00
		le.PutUint64(b[i*16:], h&0xffff|KernelCS<<16|presentInterruptGate<<32|h>>16&0xffff<<48)
		le.PutUint64(b[i*16+8:], h>>32)
	}
	return b
}

// Layout is all that the host puts into a guest, and where: programs that agree on it can take over
// each other's guests.
func Layout() []byte {
	b := fmt.Appendf(nil, "%#x %q ",
		[]uint64{SystemVA, StackTopVA, StackLen, MmapVA, EagerLen, FaultLen}, guestEnv)
	for _, page := range [][]byte{trapPage(), sharedObject(), gdt(), tss(), idt()} {
		b = append(b, page...)
	}
	return b
}

package vmm

import (
	"fmt"

	"instarfs/guest/abi"
	"instarfs/vmm/kvm"
)

// Bits of control registers and EFER (SDM vol. 3, 2.5; APM vol. 2, 3.1.7).
const (
	cr0PE, cr0MP, cr0ET, cr0NE, cr0WP, cr0AM, cr0PG = 1 << 0, 1 << 1, 1 << 4, 1 << 5, 1 << 16,
		1 << 18, 1 << 31

	cr4PAE, cr4OSFXSR, cr4OSXMMEXCPT, cr4OSXSAVE = 1 << 5, 1 << 9, 1 << 10, 1 << 18

	eferSCE, eferLME, eferLMA, eferNXE = 1 << 0, 1 << 8, 1 << 10, 1 << 11

	msrSTAR, msrLSTAR, msrFMASK = 0xc0000081, 0xc0000082, 0xc0000084
)

// rflagsReserved is the bit of RFLAGS that is always set.
const rflagsReserved = 1 << 1

// userFlags are the bits of RFLAGS that are a program's to set: the status flags and DF.
const userFlags = 0xcd5

// systemPages writes and maps what a processor in 64-bit mode needs beside page tables: GDT, TSS,
// IDT, the stack of exceptions, the trap page and the clock, and maps the shared window and the
// pages that ring. No code of ours runs at CPL0 but that of the trap page.
func systemPages(p *paging) error {
	pages := []struct {
		va     uint64
		access uint64
		fill   []byte
	}{
		{trapVA, userExec, trapPage()},
		{gdtVA, system, gdt()},
		{tssVA, system, tss()},
		{idtVA, system, idt()},
		{trapStack - pageLen, system, nil},
		{vdsoVA, userExec, sharedObject()},
		{clockVA, userWrite, nil},
	}
	for _, s := range pages {
		f, err := p.frame()
		if err != nil {
			return err
		}
		b, err := p.mem.Writable(f, pageLen)
		if err != nil {
			return err
		}
		copy(b, s.fill)
		if err := p.mapPage(s.va, f, s.access); err != nil {
			return err
		}
	}
	for off := uint64(0); off < abi.SharedLen; off += pageLen {
		if err := p.mapPage(abi.SharedVA+off, abi.SharedGPA+off, userWrite); err != nil {
			return err
		}
	}
	if err := p.mapPage(abi.DeviceVA, abi.DeviceGPA, userWrite); err != nil {
		return err
	}
	return p.mapPage(abi.DoorbellVA, abi.DoorbellGPA, userWrite)
}

// gdt is the descriptor table (SDM vol. 3, 3.4.5). TR is loaded through KVM_SET_SREGS and needs no
// descriptor here.
func gdt() []byte {
	b := make([]byte, tssSel)
	le.PutUint64(b[kernelCS:], 0x00af9b000000ffff)
	le.PutUint64(b[kernelSS:], 0x00cf93000000ffff)
	le.PutUint64(b[userSS&^3:], 0x00cff3000000ffff)
	le.PutUint64(b[userCS&^3:], 0x00affb000000ffff)
	return b
}

const tssLen = 0x68

// tss is the task state segment (SDM vol. 3, 8.7): only RSP0, the stack of exceptions, is used. The
// I/O permission bitmap lies behind its limit, so that no port is the program's to use (SDM vol. 1,
// "I/O Permission Bit Map").
func tss() []byte {
	b := make([]byte, tssLen)
	le.PutUint64(b[4:], trapStack)
	le.PutUint16(b[102:], tssLen)
	return b
}

// idt has an interrupt gate for each exception (SDM vol. 3, 6.14.1).
func idt() []byte {
	b := make([]byte, vectors*16)
	for i := range uint64(vectors) {
		h := trapVA + vectorOffset + i*vectorStride
		const presentInterruptGate = 0x8e00
		le.PutUint64(b[i*16:], h&0xffff|kernelCS<<16|presentInterruptGate<<32|h>>16&0xffff<<48)
		le.PutUint64(b[i*16+8:], h>>32)
	}
	return b
}

// userSegments puts the processor at CPL3, with fs as thread pointer.
func userSegments(s *kvm.Sregs, fs uint64) {
	data := kvm.Segment{Limit: 0xffffffff, Selector: userSS, Type: 3, Present: 1, DPL: 3, S: 1,
		DB: 1, G: 1}
	s.CS = kvm.Segment{Limit: 0xffffffff, Selector: userCS, Type: 11, Present: 1, DPL: 3, S: 1,
		L: 1, G: 1}
	s.DS, s.ES, s.SS, s.GS, s.FS = data, data, data, data, data
	s.FS.Base = fs
}

// start puts a fresh processor into 64-bit mode at CPL3, at entry. It returns what the segment and
// control registers are then.
func start(c *kvm.VCPU, root, entry, sp uint64) (s kvm.Sregs, err error) {
	if err := c.Sregs(&s); err != nil {
		return s, err
	}
	s.CR0 = cr0PE | cr0MP | cr0ET | cr0NE | cr0WP | cr0AM | cr0PG
	s.CR3 = root
	s.CR4 = cr4PAE | cr4OSFXSR | cr4OSXMMEXCPT | cr4OSXSAVE
	s.EFER = eferSCE | eferLME | eferLMA | eferNXE
	s.GDT = kvm.DTable{Base: gdtVA, Limit: tssSel - 1}
	s.IDT = kvm.DTable{Base: idtVA, Limit: vectors*16 - 1}
	s.TR = kvm.Segment{Base: tssVA, Limit: tssLen - 1, Selector: tssSel, Type: 11, Present: 1}
	userSegments(&s, 0)
	if err := c.SetSregs(&s); err != nil {
		return s, err
	}
	if err := setMSRs(c); err != nil {
		return s, err
	}
	return s, c.SetRegs(&kvm.Regs{RIP: entry, RSP: sp, RFLAGS: rflagsReserved})
}

// setMSRs points SYSCALL at the trap page. IF, TF and DF are masked on entry.
func setMSRs(c *kvm.VCPU) error {
	const interruptTrapDirection = 1<<9 | 1<<8 | 1<<10
	if err := c.SetMSRs(
		kvm.MSR{Index: msrSTAR, Data: (kernelSS+8)<<48 | kernelCS<<32},
		kvm.MSR{Index: msrLSTAR, Data: trapVA + lstarOffset},
		kvm.MSR{Index: msrFMASK, Data: interruptTrapDirection},
	); err != nil {
		return fmt.Errorf("system call registers: %w", err)
	}
	return nil
}

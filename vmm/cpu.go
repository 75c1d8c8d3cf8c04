package vmm

import (
	"fmt"

	"instarfs/vmm/kvm"
	"instarfs/vmm/space"
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

// userSegments puts the processor at CPL3, with fs as thread pointer.
func userSegments(s *kvm.Sregs, fs uint64) {
	data := kvm.Segment{Limit: 0xffffffff, Selector: space.UserSS, Type: 3, Present: 1, DPL: 3,
		S:  1,
		DB: 1, G: 1}
	s.CS = kvm.Segment{Limit: 0xffffffff, Selector: space.UserCS, Type: 11, Present: 1, DPL: 3,
		S: 1,
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
	s.GDT = kvm.DTable{Base: space.GDTVA, Limit: space.TSSSel - 1}
	s.IDT = kvm.DTable{Base: space.IDTVA, Limit: space.Vectors*16 - 1}
	s.TR = kvm.Segment{Base: space.TSSVA, Limit: space.TSSLen - 1, Selector: space.TSSSel, Type: 11,
		Present: 1}
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
		kvm.MSR{Index: msrSTAR, Data: (space.KernelSS+8)<<48 | space.KernelCS<<32},
		kvm.MSR{Index: msrLSTAR, Data: space.TrapVA + space.LSTAROffset},
		kvm.MSR{Index: msrFMASK, Data: interruptTrapDirection},
	); err != nil {
		return fmt.Errorf("system call registers: %w", err)
	}
	return nil
}

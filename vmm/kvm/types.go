//lint:file-ignore U1000 the structures mirror the kernel's, padding and unused fields included

package kvm

import "encoding/binary"

// Regs mirrors struct kvm_regs.
type Regs struct {
	RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	RIP, RFLAGS                            uint64
}

// Segment mirrors struct kvm_segment.
type Segment struct {
	Base                         uint64
	Limit                        uint32
	Selector                     uint16
	Type, Present, DPL, DB, S, L uint8
	G, AVL, Unusable, padding    uint8
}

// DTable mirrors struct kvm_dtable.
type DTable struct {
	Base    uint64
	Limit   uint16
	padding [3]uint16
}

// Sregs mirrors struct kvm_sregs.
type Sregs struct {
	CS, DS, ES, FS, GS, SS, TR, LDT         Segment
	GDT, IDT                                DTable
	CR0, CR2, CR3, CR4, CR8, EFER, APICBase uint64
	InterruptBitmap                         [4]uint64
}

// Xsave mirrors struct kvm_xsave as it is without KVM_CAP_XSAVE2: 4096 bytes.
type Xsave struct{ Region [4096]byte }

// MSR mirrors struct kvm_msr_entry.
type MSR struct {
	Index   uint32
	padding uint32
	Data    uint64
}

// msrs mirrors struct kvm_msrs with room for eight entries.
type msrs struct {
	nmsrs, pad uint32
	entries    [8]MSR
}

// userspaceMemoryRegion mirrors struct kvm_userspace_memory_region.
type userspaceMemoryRegion struct {
	slot, flags                              uint32
	guestPhysAddr, memorySize, userspaceAddr uint64
}

// dirtyLog mirrors struct kvm_dirty_log.
type dirtyLog struct {
	slot, padding uint32
	bitmap        uint64
}

// clearDirtyLog mirrors struct kvm_clear_dirty_log.
type clearDirtyLog struct {
	slot, numPages    uint32
	firstPage, bitmap uint64
}

// enableCap mirrors struct kvm_enable_cap.
type enableCap struct {
	cap, flags uint32
	args       [4]uint64
	pad        [64]byte
}

// xcrs mirrors struct kvm_xcrs.
type xcrs struct {
	nrXcrs, flags uint32
	xcrs          [16]struct {
		xcr, reserved uint32
		value         uint64
	}
	padding [16]uint64
}

const maxCPUIDEntries = 256

// cpuid2 mirrors struct kvm_cpuid2 with room for maxCPUIDEntries.
type cpuid2 struct {
	nent, padding uint32
	entries       [maxCPUIDEntries]cpuidEntry
}

// cpuidEntry mirrors struct kvm_cpuid_entry2.
type cpuidEntry struct {
	function, index, flags uint32
	eax, ebx, ecx, edx     uint32
	padding                [3]uint32
}

// xcr0 is the extended state that a guest gets (SDM vol. 1, 13.3): x87 and SSE, and AVX where the
// host supports it (bit 2 of leaf 0xd). What lies beyond, AVX-512 above all, only makes resets
// slower.
func (c *cpuid2) xcr0() uint64 {
	const x87, sse, avx = 1, 2, 4
	for _, e := range c.entries[:min(c.nent, maxCPUIDEntries)] {
		if e.function == 0xd && e.index == 0 {
			return x87 | sse | uint64(e.eax)&avx
		}
	}
	return x87 | sse
}

// forgetWhere takes out the number of the processor that answered, which is where it happened to
// run (SDM vol. 2, CPUID: initial APIC ID and x2APIC ID; APM vol. 3, leaf 0x8000001e).
func (c *cpuid2) forgetWhere() {
	for i := range c.entries[:min(c.nent, maxCPUIDEntries)] {
		switch e := &c.entries[i]; e.function {
		case 1:
			e.ebx &= 1<<24 - 1
		case 0xb, 0x1f:
			e.edx = 0
		case 0x8000001e:
			e.eax, e.ebx, e.ecx = 0, e.ebx&^0xff, e.ecx&^0xff
		}
	}
}

func (c *cpuid2) identity() (b []byte) {
	for _, e := range c.entries[:min(c.nent, maxCPUIDEntries)] {
		for _, w := range []uint32{e.function, e.index, e.flags, e.eax, e.ebx, e.ecx, e.edx} {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
	}
	return binary.LittleEndian.AppendUint64(b, c.xcr0())
}

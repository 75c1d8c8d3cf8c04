package kvm

import (
	"testing"
	"unsafe"
)

// TestLayout compares every structure with the kernel's, as a C compiler lays it out on x86-64
// (linux/kvm.h, asm/kvm.h). Those that end in an array of any length have a fixed one here, so
// their size is that of the header and of an entry.
func TestLayout(t *testing.T) {
	var (
		r  Regs
		g  Segment
		d  DTable
		s  Sregs
		m  MSR
		ms msrs
		u  userspaceMemoryRegion
		l  dirtyLog
		cl clearDirtyLog
		en enableCap
		x  xcrs
		c  cpuid2
		e  cpuidEntry
	)
	tests := []struct {
		name      string
		got, want uintptr
	}{
		{"sizeof kvm_regs", unsafe.Sizeof(r), 144},
		{"kvm_regs.rbx", unsafe.Offsetof(r.RBX), 8},
		{"kvm_regs.rcx", unsafe.Offsetof(r.RCX), 16},
		{"kvm_regs.rdx", unsafe.Offsetof(r.RDX), 24},
		{"kvm_regs.rsi", unsafe.Offsetof(r.RSI), 32},
		{"kvm_regs.rdi", unsafe.Offsetof(r.RDI), 40},
		{"kvm_regs.rsp", unsafe.Offsetof(r.RSP), 48},
		{"kvm_regs.rbp", unsafe.Offsetof(r.RBP), 56},
		{"kvm_regs.r8", unsafe.Offsetof(r.R8), 64},
		{"kvm_regs.r15", unsafe.Offsetof(r.R15), 120},
		{"kvm_regs.rip", unsafe.Offsetof(r.RIP), 128},
		{"kvm_regs.rflags", unsafe.Offsetof(r.RFLAGS), 136},

		{"sizeof kvm_segment", unsafe.Sizeof(g), 24},
		{"kvm_segment.limit", unsafe.Offsetof(g.Limit), 8},
		{"kvm_segment.selector", unsafe.Offsetof(g.Selector), 12},
		{"kvm_segment.type", unsafe.Offsetof(g.Type), 14},
		{"kvm_segment.present", unsafe.Offsetof(g.Present), 15},
		{"kvm_segment.dpl", unsafe.Offsetof(g.DPL), 16},
		{"kvm_segment.db", unsafe.Offsetof(g.DB), 17},
		{"kvm_segment.s", unsafe.Offsetof(g.S), 18},
		{"kvm_segment.l", unsafe.Offsetof(g.L), 19},
		{"kvm_segment.g", unsafe.Offsetof(g.G), 20},
		{"kvm_segment.avl", unsafe.Offsetof(g.AVL), 21},
		{"kvm_segment.unusable", unsafe.Offsetof(g.Unusable), 22},

		{"sizeof kvm_dtable", unsafe.Sizeof(d), 16},
		{"kvm_dtable.limit", unsafe.Offsetof(d.Limit), 8},

		{"sizeof kvm_sregs", unsafe.Sizeof(s), 312},
		{"kvm_sregs.ds", unsafe.Offsetof(s.DS), 24},
		{"kvm_sregs.es", unsafe.Offsetof(s.ES), 48},
		{"kvm_sregs.fs", unsafe.Offsetof(s.FS), 72},
		{"kvm_sregs.gs", unsafe.Offsetof(s.GS), 96},
		{"kvm_sregs.ss", unsafe.Offsetof(s.SS), 120},
		{"kvm_sregs.tr", unsafe.Offsetof(s.TR), 144},
		{"kvm_sregs.ldt", unsafe.Offsetof(s.LDT), 168},
		{"kvm_sregs.gdt", unsafe.Offsetof(s.GDT), 192},
		{"kvm_sregs.idt", unsafe.Offsetof(s.IDT), 208},
		{"kvm_sregs.cr0", unsafe.Offsetof(s.CR0), 224},
		{"kvm_sregs.cr2", unsafe.Offsetof(s.CR2), 232},
		{"kvm_sregs.cr3", unsafe.Offsetof(s.CR3), 240},
		{"kvm_sregs.cr4", unsafe.Offsetof(s.CR4), 248},
		{"kvm_sregs.cr8", unsafe.Offsetof(s.CR8), 256},
		{"kvm_sregs.efer", unsafe.Offsetof(s.EFER), 264},
		{"kvm_sregs.apic_base", unsafe.Offsetof(s.APICBase), 272},
		{"kvm_sregs.interrupt_bitmap", unsafe.Offsetof(s.InterruptBitmap), 280},

		{"sizeof kvm_xsave", unsafe.Sizeof(Xsave{}), 4096},

		{"sizeof kvm_msr_entry", unsafe.Sizeof(m), 16},
		{"kvm_msr_entry.data", unsafe.Offsetof(m.Data), 8},
		{"kvm_msrs.entries", unsafe.Offsetof(ms.entries), 8},

		{"sizeof kvm_userspace_memory_region", unsafe.Sizeof(u), 32},
		{"kvm_userspace_memory_region.flags", unsafe.Offsetof(u.flags), 4},
		{"kvm_userspace_memory_region.guest_phys_addr", unsafe.Offsetof(u.guestPhysAddr), 8},
		{"kvm_userspace_memory_region.memory_size", unsafe.Offsetof(u.memorySize), 16},
		{"kvm_userspace_memory_region.userspace_addr", unsafe.Offsetof(u.userspaceAddr), 24},

		{"sizeof kvm_dirty_log", unsafe.Sizeof(l), 16},
		{"kvm_dirty_log.dirty_bitmap", unsafe.Offsetof(l.bitmap), 8},

		{"sizeof kvm_clear_dirty_log", unsafe.Sizeof(cl), 24},
		{"kvm_clear_dirty_log.num_pages", unsafe.Offsetof(cl.numPages), 4},
		{"kvm_clear_dirty_log.first_page", unsafe.Offsetof(cl.firstPage), 8},
		{"kvm_clear_dirty_log.dirty_bitmap", unsafe.Offsetof(cl.bitmap), 16},

		{"sizeof kvm_enable_cap", unsafe.Sizeof(en), 104},
		{"kvm_enable_cap.flags", unsafe.Offsetof(en.flags), 4},
		{"kvm_enable_cap.args", unsafe.Offsetof(en.args), 8},
		{"kvm_enable_cap.pad", unsafe.Offsetof(en.pad), 40},

		{"sizeof kvm_xcrs", unsafe.Sizeof(x), 392},
		{"sizeof kvm_xcr", unsafe.Sizeof(x.xcrs[0]), 16},
		{"kvm_xcr.value", unsafe.Offsetof(x.xcrs[0].value), 8},
		{"kvm_xcrs.flags", unsafe.Offsetof(x.flags), 4},
		{"kvm_xcrs.xcrs", unsafe.Offsetof(x.xcrs), 8},
		{"kvm_xcrs.padding", unsafe.Offsetof(x.padding), 264},

		{"kvm_cpuid2.entries", unsafe.Offsetof(c.entries), 8},
		{"sizeof kvm_cpuid_entry2", unsafe.Sizeof(e), 40},
		{"kvm_cpuid_entry2.index", unsafe.Offsetof(e.index), 4},
		{"kvm_cpuid_entry2.flags", unsafe.Offsetof(e.flags), 8},
		{"kvm_cpuid_entry2.eax", unsafe.Offsetof(e.eax), 12},
		{"kvm_cpuid_entry2.edx", unsafe.Offsetof(e.edx), 24},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s is %d, want %d", test.name, test.got, test.want)
		}
	}
}

// TestRequests makes every ioctl number anew: _IOC(dir, 0xAE, nr, size) of asm-generic/ioctl.h.
func TestRequests(t *testing.T) {
	const none, write, read = 0, 1, 2
	const header = 8 // of structures that end in an array
	tests := []struct {
		name         string
		request      uintptr
		dir, nr, len uintptr
	}{
		{"KVM_GET_API_VERSION", _KVM_GET_API_VERSION, none, 0x00, 0},
		{"KVM_CREATE_VM", _KVM_CREATE_VM, none, 0x01, 0},
		{"KVM_CHECK_EXTENSION", _KVM_CHECK_EXTENSION, none, 0x03, 0},
		{"KVM_GET_VCPU_MMAP_SIZE", _KVM_GET_VCPU_MMAP_SIZE, none, 0x04, 0},
		{"KVM_GET_SUPPORTED_CPUID", _KVM_GET_SUPPORTED_CPUID, read | write, 0x05, header},
		{"KVM_CREATE_VCPU", _KVM_CREATE_VCPU, none, 0x41, 0},
		{"KVM_ENABLE_CAP", _KVM_ENABLE_CAP, write, 0xa3, unsafe.Sizeof(enableCap{})},
		{"KVM_CLEAR_DIRTY_LOG", _KVM_CLEAR_DIRTY_LOG, read | write, 0xc0,
			unsafe.Sizeof(clearDirtyLog{})},
		{"KVM_GET_DIRTY_LOG", _KVM_GET_DIRTY_LOG, write, 0x42, unsafe.Sizeof(dirtyLog{})},
		{"KVM_SET_USER_MEMORY_REGION", _KVM_SET_USER_MEMORY_REGION, write, 0x46,
			unsafe.Sizeof(userspaceMemoryRegion{})},
		{"KVM_RUN", _KVM_RUN, none, 0x80, 0},
		{"KVM_GET_REGS", _KVM_GET_REGS, read, 0x81, unsafe.Sizeof(Regs{})},
		{"KVM_SET_REGS", _KVM_SET_REGS, write, 0x82, unsafe.Sizeof(Regs{})},
		{"KVM_GET_SREGS", _KVM_GET_SREGS, read, 0x83, unsafe.Sizeof(Sregs{})},
		{"KVM_SET_SREGS", _KVM_SET_SREGS, write, 0x84, unsafe.Sizeof(Sregs{})},
		{"KVM_SET_MSRS", _KVM_SET_MSRS, write, 0x89, header},
		{"KVM_SET_CPUID2", _KVM_SET_CPUID2, write, 0x90, header},
		{"KVM_GET_XSAVE", _KVM_GET_XSAVE, read, 0xa4, unsafe.Sizeof(Xsave{})},
		{"KVM_SET_XSAVE", _KVM_SET_XSAVE, write, 0xa5, unsafe.Sizeof(Xsave{})},
		{"KVM_SET_XCRS", _KVM_SET_XCRS, write, 0xa7, unsafe.Sizeof(xcrs{})},
	}
	for _, test := range tests {
		if want := test.dir<<30 | test.len<<16 | 0xae<<8 | test.nr; test.request != want {
			t.Errorf("%s is %#x, want %#x", test.name, test.request, want)
		}
	}
}

package vmm

import "instarfs/vmm/kvm"

// exceptionNames are the vectors of SDM vol. 3, table 6-1.
var exceptionNames = [vectors]string{
	0: "divide error", 1: "debug", 2: "NMI", 3: "breakpoint", 4: "overflow", 5: "bound range exceeded",
	6: "invalid opcode", 7: "device not available", 8: "double fault", 10: "invalid TSS", 11: "segment not present",
	12: "stack fault", 13: "general protection fault", 14: "page fault", 16: "x87 error", 17: "alignment check",
	18: "machine check", 19: "SIMD error", 20: "virtualisation exception", 21: "control protection exception",
}

const vectorPageFault = 14

// pushesErrorCode is the set of vectors with an error code on the stack.
const pushesErrorCode = 1<<8 | 1<<10 | 1<<11 | 1<<12 | 1<<13 | 1<<14 | 1<<17 | 1<<21

// exception says which exception of the program led to a hlt in the trap page. The frame that the processor pushed lies on
// the exception stack: the error code if the vector has one, then RIP, CS, RFLAGS, RSP, SS.
func (m *machine) exception() error {
	var r kvm.Regs
	var s kvm.Sregs
	if err := m.cpu.Regs(&r); err != nil {
		return err
	}
	if err := m.cpu.Sregs(&s); err != nil {
		return err
	}
	// After a hlt RIP stands behind it.
	off := r.RIP - 1 - (trapVA + vectorOffset)
	vector := off / vectorStride
	if r.RIP == 0 || off%vectorStride != 0 || vector >= vectors {
		return m.blame(KindFault, "hlt outside of an exception handler")
	}
	frame := r.RSP
	if pushesErrorCode>>vector&1 != 0 {
		frame += 8
	}
	name := exceptionNames[vector]
	if name == "" {
		name = "exception"
	}
	e := guestError(KindFault, "%s (vector %d)", name, vector)
	if vector == vectorPageFault {
		e = guestError(KindFault, "page fault at address %#x", s.CR2)
		if m.proc.outOfMemory(s.CR2) {
			e = guestError(KindMemory, "the program needs more than the %d MiB it has", maxBacked>>20)
		}
	}
	e.RIP, e.Log = m.frameRIP(frame), string(m.proc.log)
	return e
}

// frameRIP reads the instruction pointer of an exception frame, 0 when the frame is not where it should be.
func (m *machine) frameRIP(frame uint64) uint64 {
	if frame < trapStack-pageLen || frame > trapStack-8 {
		return 0
	}
	at, err := m.proc.pages.entry(trapStack-pageLen, false)
	if err != nil || at == 0 {
		return 0
	}
	b, err := m.mem.Readable(at, 8)
	if err != nil {
		return 0
	}
	b, err = m.mem.Readable(le.Uint64(b)&pteAddress|frame&(pageLen-1), 8)
	if err != nil {
		return 0
	}
	return le.Uint64(b)
}

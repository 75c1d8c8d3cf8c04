package vmm

import (
	"fmt"

	"instarfs/vmm/kvm"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
)

// exceptionNames are the vectors of SDM vol. 3, table 6-1.
var exceptionNames = [space.Vectors]string{
	0: "divide error", 1: "debug", 2: "NMI", 3: "breakpoint", 4: "overflow",
	5: "bound range exceeded", 6: "invalid opcode", 7: "device not available", 8: "double fault",
	10: "invalid TSS", 11: "segment not present", 12: "stack fault",
	13: "general protection fault", 14: "page fault", 16: "x87 error", 17: "alignment check",
	18: "machine check", 19: "SIMD error", 20: "virtualisation exception",
	21: "control protection exception",
}

const vectorPageFault = 14

// pushesErrorCode is the set of vectors with an error code on the stack.
const pushesErrorCode = 1<<8 | 1<<10 | 1<<11 | 1<<12 | 1<<13 | 1<<14 | 1<<17 | 1<<21

// exception deals with an exception of the program, which led to a hlt in the trap page. A page
// fault in a lazy mapping gets its page, and nil is returned: the program goes on. Everything else
// is its end.
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
	off := r.RIP - 1 - (space.TrapVA + space.VectorOffset)
	vector := off / space.VectorStride
	if r.RIP == 0 || off%space.VectorStride != 0 || vector >= space.Vectors {
		return m.Blame(session.KindFault, "hlt outside of an exception handler")
	}
	f, err := m.frame(r.RSP, pushesErrorCode>>vector&1 != 0)
	if err != nil {
		return m.Blame(session.KindFault, "%s, and %v", exceptionName(vector), err)
	}
	e := session.Errorf(session.KindFault, "%s", exceptionName(vector))
	if vector == vectorPageFault {
		e = session.Errorf(session.KindFault, "page fault at address %#x", s.CR2)
		if f.code&faultPresent == 0 {
			ok, noMemory := m.proc.fault(s.CR2)
			if ok {
				// What IRETQ would do.
				r.RIP, r.RSP, r.RFLAGS = f.rip, f.rsp, f.rflags
				return m.resume(&r, &s)
			}
			if noMemory != nil {
				e = noMemory
			}
		}
	}
	e.RIP, e.Log = f.rip, string(m.proc.log)
	return e
}

func exceptionName(vector uint64) string {
	name := exceptionNames[vector]
	if name == "" {
		name = "exception"
	}
	return fmt.Sprintf("%s (vector %d)", name, vector)
}

// frame is what the processor pushes on the exception stack (SDM vol. 3, 6.14.2).
type frame struct{ code, rip, cs, rflags, rsp uint64 }

// faultPresent is the bit of a page fault's error code that says that there was a page, which
// forbids the access.
const faultPresent = 1

// frame reads the exception frame at rsp, whose error code is there only for some vectors.
func (m *machine) frame(rsp uint64, code bool) (f frame, err error) {
	n := 5 * 8
	if code {
		n += 8
	}
	if rsp < space.TrapStack-space.PageLen || rsp > space.TrapStack-uint64(n) {
		return f, fmt.Errorf("its frame at %#x is not on the exception stack", rsp)
	}
	b := make([]byte, n)
	if err := m.proc.pages.Each(rsp, n, 0, func(gpa uint64, from, to int) error {
		src, err := m.mem.Readable(gpa, uint64(to-from))
		copy(b[from:to], src)
		return err
	}); err != nil {
		return f, err
	}
	if code {
		f.code, b = le.Uint64(b), b[8:]
	}
	f.rip, f.cs, f.rflags, f.rsp = le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]),
		le.Uint64(b[24:])
	return f, nil
}

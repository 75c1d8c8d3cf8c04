package vmm

import (
	"testing"

	"instarfs/guest/payload"
	"instarfs/needs"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
)

// TestConstantCalls: they answer 0, keep all other registers that a program relies on, and cost no
// exit.
func TestConstantCalls(t *testing.T) {
	const rbx, keep = 3, 0x1122334455667788
	budget := testBudget
	budget.Exits = 50
	p := budgetPool(t, good(func(a *asm) {
		a.imm(rbx, keep)
		for range 100 {
			for _, nr := range space.ConstantCalls {
				a.syscall(uint64(nr), 1, 2, 3)
				a.raw(0x48, 0x85, 0xc0)    // test rax, rax
				a.raw(0x74, 0x02).ud2()    // je over ud2
				a.raw(0x48, 0x83, 0xff, 1) // cmp rdi, 1
				a.raw(0x74, 0x02).ud2()
			}
		}
		a.imm(rax, keep).raw(0x48, 0x39, 0xc3) // cmp rbx, rax
		a.raw(0x74, 0x02).ud2()
	}), budget)
	if _, err := p.Run(t.Context(), testJob()); err != nil {
		t.Error(err)
	}
	// From the doorbell itself they are not answered: only a program that is not Go's does that.
	for _, nr := range space.ConstantCalls {
		if _, err := testProcess(t).call(uint64(nr)); err == nil ||
			err.Kind != session.KindSyscall {
			t.Errorf("system call %d: %v", nr, err)
		}
	}
}

// TestClock: the Go runtime finds the clock, and the clock goes forward.
func TestClock(t *testing.T) {
	needs.KVM(t)
	program, err := payload.Agent()
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPool(Options{Program: program})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	m, err := p.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.destroy()
	var b [8]byte
	if err := m.proc.pages.Read(space.ClockVA, b[:]); err != nil || le.Uint64(b[:])%1000 != 0 ||
		le.Uint64(b[:]) < 1000 {
		t.Errorf("the time is %d ns, %v", le.Uint64(b[:]), err)
	}
	if m.proc.pages.Write(space.VDSOVA, b[:]) == nil {
		t.Error("the code of the clock can be written")
	}
}

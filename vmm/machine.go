package vmm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/vmm/bug"
	"instarfs/vmm/kvm"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
	"instarfs/vmm/threads"
	"instarfs/vmm/virtio"
)

// machine is one virtual machine with its guest program. All of its methods but do, kick and
// destroy run on its own OS thread, as KVM wants it: by way of do, or of a function sent to work.
type machine struct {
	vm    *kvm.VM
	cpu   *kvm.VCPU
	mem   *space.Memory
	proc  *process
	disk  *virtio.Block
	dirty space.Bitmap // for KVM_GET_DIRTY_LOG
	sregs kvm.Sregs    // of the program when it starts
	large bool         // the last run filled the ring
	// touched is how many pages the guest has written, as of the last reset.
	touched int

	ring  session.Ring
	lease *ledger.Lease // the machine's own

	work chan func()
	tid  int
}

// newMachine makes a machine of memory with a program, which it takes over, and accounts for it and
// for what it finds. The machine stands at the snapshot that find returns, or at the start of the
// program if find returns nil. Its thread ends with destroy.
func newMachine(
	sys *kvm.System, books *ledger.Ledger, memory *filling, find func() *snapshot,
) (*machine, *snapshot, error) {
	m := &machine{work: make(chan func()), lease: books.First()}
	if err := m.lease.Grow(machineCost); err != nil {
		memory.close()
		return nil, nil, err
	}
	tid := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		tid <- unix.Gettid()
		for f := range m.work {
			f()
		}
	}()
	m.tid = <-tid
	var s *snapshot
	err := m.do(func() (err error) {
		s, err = m.create(sys, memory, find)
		return err
	})
	if err != nil {
		m.destroy()
		return nil, nil, err
	}
	return m, s, nil
}

// do runs f on the machine's thread and waits for it. A panic of f is a *bug.Error.
func (m *machine) do(f func() error) (err error) {
	done := make(chan struct{})
	m.work <- func() {
		defer close(done)
		err = bug.Guard(f)
	}
	<-done
	return err
}

// until runs f, which enters the guest, on the machine's own thread. The guest is kicked out when
// ctx is done, and when f's kick is called. A panic of f is a *bug.Error.
func (m *machine) until(ctx context.Context, f func(kick func()) error) error {
	a := &alarm{kick: m.kick}
	defer a.off()
	defer context.AfterFunc(ctx, a.ring)()
	return bug.Guard(func() error { return f(a.ring) })
}

// create has the memory filled while KVM makes the rest.
func (m *machine) create(
	sys *kvm.System, memory *filling, find func() *snapshot,
) (s *snapshot, err error) {
	m.mem = memory.mem
	found := make(chan error)
	go func() {
		found <- bug.Guard(func() error {
			if s = find(); s == nil {
				return nil
			}
			if <-memory.done; memory.err == nil {
				s.fill(m.mem)
			}
			return nil
		})
	}()
	err = m.createEmpty(sys)
	err2 := <-found
	<-memory.done
	if err = cmp.Or(err, err2, memory.err); err != nil {
		return nil, err
	}
	m.proc = &process{pages: memory.pages, threads: threads.New(), mmapNext: space.MmapVA}
	m.sregs, err = start(m.cpu, memory.pages.Root, memory.entry, memory.sp)
	if err != nil || s == nil {
		return nil, err
	}
	if err := m.logWrites(); err != nil {
		return nil, err
	}
	return s, m.restore(s)
}

// createEmpty makes a machine of memory.
func (m *machine) createEmpty(sys *kvm.System) (err error) {
	if m.vm, err = sys.CreateVM(); err != nil {
		return err
	}
	// No log of dirty pages until there is a snapshot to go back to: it makes the boot slower.
	if err = m.vm.SetMemory(m.mem.Bytes, false); err != nil {
		return err
	}
	if m.cpu, err = m.vm.CreateVCPU(); err != nil {
		return err
	}
	m.disk = virtio.NewBlock(m.mem.Shared())
	m.dirty = space.NewBitmap(abi.RAMLen / space.PageLen)
	return nil
}

// destroy frees everything, also what a failed create left. Nothing may run.
func (m *machine) destroy() {
	// Errors are of no use here: the machine is gone either way.
	_ = m.do(func() error {
		if m.cpu != nil {
			m.cpu.Close()
		}
		if m.vm != nil {
			m.vm.Close()
		}
		if m.mem != nil {
			m.mem.Close()
		}
		return nil
	})
	close(m.work)
	m.lease.Free()
}

// kick makes the processor leave the guest as soon as it can, now or at its next entry. It may be
// called from anywhere.
func (m *machine) kick() {
	m.cpu.SetImmediateExit(true)
	// SIGURG is what the Go runtime sends its own threads to preempt them, so it is always handled
	// and never kills. The signal ends a KVM_RUN under way; one that comes before it is covered by
	// the flag.
	_ = unix.Tgkill(unix.Getpid(), m.tid, unix.SIGURG)
}

// enter runs the guest until it rings a doorbell that is not a system call, and returns which.
// Everything else that can happen is answered here, or ends the run: with a *session.GuestError
// when the guest is to blame.
func (m *machine) enter(b *session.Meter) (bell uint64, err error) {
	for {
		if err := b.Exit(); err != nil {
			return 0, err
		}
		switch err := m.cpu.Run(); {
		case errors.Is(err, unix.EINTR):
			// In this order: a kick that comes in between is not lost.
			m.cpu.SetImmediateExit(false)
			if err := m.measure(); err != nil {
				return 0, err
			}
			if err := b.Yield(); err != nil {
				return 0, err
			}
			continue
		case err != nil:
			return 0, &session.GuestError{
				Kind: session.KindCarrier, What: "KVM_RUN: " + err.Error(), Err: err,
			}
		}
		switch m.cpu.ExitReason() {
		case kvm.ExitMMIO:
			a := m.cpu.MMIO()
			if a.Addr >= abi.DoorbellGPA && a.Addr < abi.DoorbellGPA+space.PageLen {
				if !a.Write {
					return 0, m.Blame(session.KindProtocol, "read of doorbell %#x",
						a.Addr-abi.DoorbellGPA)
				}
				// Of a longer store KVM reports eight bytes at a time; see settle.
				if a.Len != abi.BellLen {
					return 0, m.Blame(session.KindProtocol, "write of %d bytes to doorbell %#x",
						a.Len, a.Addr-abi.DoorbellGPA)
				}
				if a.Addr != abi.DoorbellGPA+abi.BellSyscall {
					return a.Addr - abi.DoorbellGPA, nil
				}
				err = m.syscall()
			} else {
				err = m.register(a)
			}
			if err != nil {
				return 0, err
			}
		case kvm.ExitHlt:
			if err := m.exception(); err != nil {
				return 0, err
			}
		case kvm.ExitShutdown:
			return 0, m.Blame(session.KindTripleFault, "an exception could not be delivered")
		case kvm.ExitInternalError:
			return 0, m.Blame(session.KindCarrier,
				"KVM could not emulate an instruction (suberror %d)", m.cpu.Suberror())
		case kvm.ExitFailEntry:
			return 0, m.Blame(session.KindCarrier,
				"the processor refused to enter the guest (reason %#x)", m.cpu.FailEntryReason())
		default:
			return 0, m.Blame(session.KindFault,
				"exit reason %d, which nothing in the guest should cause", m.cpu.ExitReason())
		}
	}
}

// settle has KVM finish the access that the guest was left for, without entering the guest: only
// then are its registers consistent (Documentation/virt/kvm/api.rst, KVM_EXIT_MMIO), and what is
// left of an access would otherwise be reported when the next run enters. It leaves the processor
// kicked. An error says that there is something left.
func (m *machine) settle() error {
	m.cpu.SetImmediateExit(true)
	switch err := m.cpu.Run(); {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("KVM_RUN to finish an access: %w", err)
	}
	return fmt.Errorf("an access goes on behind the exit it caused")
}

// register carries out an access to the block device's page, or to an address where nothing is.
func (m *machine) register(a kvm.MMIO) error {
	off := a.Addr - abi.DeviceGPA
	if a.Addr < abi.DeviceGPA || off >= space.PageLen {
		return m.Blame(session.KindFault, "access to guest-physical address %#x, where nothing is",
			a.Addr)
	}
	if a.Write {
		return m.protocol(m.disk.Store(off, a.Len, a.Value))
	}
	v, err := m.disk.Load(off, a.Len)
	if err == nil {
		m.cpu.SetMMIO(v)
	}
	return m.protocol(err)
}

// protocol turns what the device found into a GuestError.
func (m *machine) protocol(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, session.ErrReadLimit):
		return m.Blame(session.KindReads, "%v", err)
	}
	return m.Blame(session.KindProtocol, "%v", err)
}

// syscall answers the system call that the trap page announced.
func (m *machine) syscall() error {
	var r kvm.Regs
	if err := m.cpu.Regs(&r); err != nil {
		return err
	}
	from := r.RCX
	if e := m.proc.syscall(&r); e != nil {
		e.RIP, e.Log = from, string(m.proc.log)
		return e
	}
	if r.RIP >= space.SystemVA {
		return m.Blame(session.KindFault, "return from a system call to %#x", r.RIP)
	}
	var s kvm.Sregs
	if err := m.cpu.Sregs(&s); err != nil {
		return err
	}
	return m.resume(&r, &s)
}

// resume has the program go on at CPL3 with r. The processor may be at CPL0, by an exception, or by
// SYSCALL on hardware; on a PVM-type KVM SYSCALL stays at CPL3.
func (m *machine) resume(r *kvm.Regs, s *kvm.Sregs) error {
	userSegments(s, m.proc.threads.Current.FS)
	if err := m.cpu.SetSregs(s); err != nil {
		return err
	}
	return m.cpu.SetRegs(r)
}

// Blame makes a GuestError of the place where the guest is.
func (m *machine) Blame(k session.Kind, format string, args ...any) *session.GuestError {
	e := session.Errorf(k, format, args...)
	var r kvm.Regs
	if m.cpu.Regs(&r) == nil {
		e.RIP = r.RIP
	}
	if m.proc != nil {
		e.Log = string(m.proc.log)
	}
	return e
}

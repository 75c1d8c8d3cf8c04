package kvm

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Exit reasons (KVM_EXIT_x of kvm.h) that a guest of ours can cause; the others are only named in
// errors.
const (
	ExitIO            = 2
	ExitHlt           = 5
	ExitMMIO          = 6
	ExitShutdown      = 8
	ExitFailEntry     = 9
	ExitInternalError = 17
)

// Offsets in struct kvm_run.
const (
	runImmediateExit = 1
	runExitReason    = 8
	runUnion         = 32 // the per-reason union
	runMMIOData      = runUnion + 8
	runMMIOLen       = runUnion + 16
	runMMIOIsWrite   = runUnion + 20
	runValidRegs     = 288
	runDirtyRegs     = 296
	runSyncRegs      = 304  // struct kvm_sync_regs: struct kvm_regs, then struct kvm_sregs
	runLen           = 2352 // sizeof(struct kvm_run)
)

// Bits of kvm_valid_regs and kvm_dirty_regs (arch/x86/include/uapi/asm/kvm.h).
const (
	syncRegs  = 1 << 0
	syncSregs = 1 << 1
)

// VCPU is a virtual processor. All of its methods but Kick belong to one OS thread.
type VCPU struct {
	fd  int
	run []byte // struct kvm_run, shared with the kernel

	// Each ioctl on a processor loads it first, which costs more than the rest of the call. So
	// registers pass through struct kvm_run where the kernel offers that (KVM_CAP_SYNC_REGS): Run
	// leaves them there, and takes over those that are marked as dirty.
	sync  bool
	known uint64 // which registers in run are those of the processor: syncRegs, syncSregs
}

// CreateVCPU makes the machine's only processor, with all features that the host supports and AVX
// enabled.
func (v *VM) CreateVCPU() (*VCPU, error) {
	fd, err := ioctl(v.fd, _KVM_CREATE_VCPU, 0)
	if err != nil {
		return nil, fmt.Errorf("KVM_CREATE_VCPU: %w", err)
	}
	c := &VCPU{fd: int(fd)}
	if c.run, err = unix.Mmap(c.fd, 0, v.sys.mmapLen, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED); err != nil {
		unix.Close(c.fd)
		return nil, fmt.Errorf("mmap of struct kvm_run: %w", err)
	}
	if c.sync = v.sys.sync; c.sync {
		binary.LittleEndian.PutUint64(c.run[runValidRegs:], syncRegs|syncSregs)
	}
	if err := ioctlPtr(c.fd, _KVM_SET_CPUID2, &v.sys.cpuid); err != nil {
		c.Close()
		return nil, fmt.Errorf("KVM_SET_CPUID2: %w", err)
	}
	x := xcrs{nrXcrs: 1}
	x.xcrs[0].value = v.sys.cpuid.xcr0()
	if err := ioctlPtr(c.fd, _KVM_SET_XCRS, &x); err != nil {
		c.Close()
		return nil, fmt.Errorf("KVM_SET_XCRS: %w", err)
	}
	return c, nil
}

// Close destroys the processor. It must not be running.
func (c *VCPU) Close() error {
	err := unix.Munmap(c.run)
	if err2 := unix.Close(c.fd); err == nil {
		err = err2
	}
	return err
}

// Run enters the guest until it exits. unix.EINTR means that a signal came, or that Kick was
// called: Run may be called again. It goes through unix.Syscall and not RawSyscall, so that the Go
// scheduler knows that the thread is away.
func (c *VCPU) Run() error {
	_, err := ioctl(c.fd, _KVM_RUN, 0)
	c.known = 0
	if c.sync && (err == nil || err == unix.EINTR) {
		c.known = syncRegs | syncSregs
	}
	return err
}

// SetImmediateExit makes every following Run return unix.EINTR at once (true), or enter the guest
// (false). Together with a signal to the thread that is in Run it stops a guest without a race. It
// may be called from any thread.
func (c *VCPU) SetImmediateExit(on bool) { storeByte(&c.run[runImmediateExit], on) }

// ExitReason is why Run returned nil.
func (c *VCPU) ExitReason() uint32 { return binary.LittleEndian.Uint32(c.run[runExitReason:]) }

// MMIO is an access of the guest to an address without memory. A read is answered with SetMMIO
// before the next Run.
type MMIO struct {
	Addr  uint64 // guest-physical
	Len   uint32 // bytes, 1 to 8
	Write bool
	Value uint64 // what is written
}

// MMIO describes the access when ExitReason is ExitMMIO.
func (c *VCPU) MMIO() MMIO {
	var data [8]byte
	n := min(binary.LittleEndian.Uint32(c.run[runMMIOLen:]), 8)
	copy(data[:n], c.run[runMMIOData:])
	return MMIO{
		Addr: binary.LittleEndian.Uint64(c.run[runUnion:]), Len: n,
		Write: c.run[runMMIOIsWrite] != 0, Value: binary.LittleEndian.Uint64(data[:]),
	}
}

// SetMMIO is the answer to a read.
func (c *VCPU) SetMMIO(v uint64) { binary.LittleEndian.PutUint64(c.run[runMMIOData:], v) }

// FailEntryReason is the hardware's reason when ExitReason is ExitFailEntry.
func (c *VCPU) FailEntryReason() uint64 { return binary.LittleEndian.Uint64(c.run[runUnion:]) }

// Suberror is KVM_INTERNAL_ERROR_x when ExitReason is ExitInternalError.
func (c *VCPU) Suberror() uint32 { return binary.LittleEndian.Uint32(c.run[runUnion:]) }

// Regs reads the general registers.
func (c *VCPU) Regs(r *Regs) error {
	if c.known&syncRegs != 0 {
		*r = *c.syncedRegs()
		return nil
	}
	return named("KVM_GET_REGS", ioctlPtr(c.fd, _KVM_GET_REGS, r))
}

// SetRegs writes the general registers. The error may come with the next Run.
func (c *VCPU) SetRegs(r *Regs) error {
	if c.sync {
		*c.syncedRegs() = *r
		c.change(syncRegs)
		return nil
	}
	return named("KVM_SET_REGS", ioctlPtr(c.fd, _KVM_SET_REGS, r))
}

// Sregs reads the segment and control registers.
func (c *VCPU) Sregs(s *Sregs) error {
	if c.known&syncSregs != 0 {
		*s = *c.syncedSregs()
		return nil
	}
	return named("KVM_GET_SREGS", ioctlPtr(c.fd, _KVM_GET_SREGS, s))
}

// SetSregs writes the segment and control registers. The error may come with the next Run.
func (c *VCPU) SetSregs(s *Sregs) error {
	if c.sync {
		*c.syncedSregs() = *s
		c.change(syncSregs)
		return nil
	}
	return named("KVM_SET_SREGS", ioctlPtr(c.fd, _KVM_SET_SREGS, s))
}

// change marks registers in struct kvm_run as the processor's next ones.
func (c *VCPU) change(which uint64) {
	c.known |= which
	dirty := c.run[runDirtyRegs:]
	binary.LittleEndian.PutUint64(dirty, binary.LittleEndian.Uint64(dirty)|which)
}

// Xsave reads the floating point and vector state.
func (c *VCPU) Xsave(x *Xsave) error {
	return named("KVM_GET_XSAVE", ioctlPtr(c.fd, _KVM_GET_XSAVE, x))
}

// SetXsave writes the floating point and vector state.
func (c *VCPU) SetXsave(x *Xsave) error {
	return named("KVM_SET_XSAVE", ioctlPtr(c.fd, _KVM_SET_XSAVE, x))
}

// SetMSRs writes up to eight model specific registers.
func (c *VCPU) SetMSRs(entries ...MSR) error {
	var m msrs
	m.nmsrs = uint32(copy(m.entries[:], entries))
	n, err := ioctlPtrN(c.fd, _KVM_SET_MSRS, &m)
	if err == nil && int(n) != len(entries) {
		err = fmt.Errorf("the kernel refused register %#x", entries[n].Index)
	}
	return named("KVM_SET_MSRS", err)
}

func named(call string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	return nil
}

// Package kvm is the kernel's KVM interface as typed calls, thin enough to be read beside
// Documentation/virt/kvm/api.rst. Constants and structures keep the kernel's names
// (include/uapi/linux/kvm.h, arch/x86/include/uapi/asm/kvm.h). It holds no policy: what a guest may
// do is decided in package vmm.
package kvm

import (
	"errors"
	"fmt"
	"os/user"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// ioctl numbers, _IOC(dir, 0xAE, nr, size) of kvm.h.
const (
	_KVM_GET_API_VERSION        = 0xAE00
	_KVM_CREATE_VM              = 0xAE01
	_KVM_CHECK_EXTENSION        = 0xAE03
	_KVM_GET_VCPU_MMAP_SIZE     = 0xAE04
	_KVM_GET_SUPPORTED_CPUID    = 0xC008AE05
	_KVM_CREATE_VCPU            = 0xAE41
	_KVM_GET_DIRTY_LOG          = 0x4010AE42
	_KVM_SET_USER_MEMORY_REGION = 0x4020AE46
	_KVM_RUN                    = 0xAE80
	_KVM_GET_REGS               = 0x8090AE81
	_KVM_SET_REGS               = 0x4090AE82
	_KVM_GET_SREGS              = 0x8138AE83
	_KVM_SET_SREGS              = 0x4138AE84
	_KVM_SET_MSRS               = 0x4008AE89
	_KVM_SET_CPUID2             = 0x4008AE90
	_KVM_GET_XSAVE              = 0x9000AEA4
	_KVM_SET_XSAVE              = 0x5000AEA5
	_KVM_SET_XCRS               = 0x4188AEA7
	_KVM_ENABLE_CAP             = 0x4068AEA3
	_KVM_CLEAR_DIRTY_LOG        = 0xC018AEC0

	_KVM_API_VERSION        = 12
	_KVM_CAP_USER_MEMORY    = 3
	_KVM_CAP_XCRS           = 56
	_KVM_CAP_SYNC_REGS      = 74
	_KVM_CAP_IMMEDIATE_EXIT = 136

	_KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 = 168
	_KVM_DIRTY_LOG_MANUAL_PROTECT      = 1

	_KVM_MEM_LOG_DIRTY_PAGES = 1
)

// ErrNoKVM says that this machine, or this user, cannot start virtual machines. Errors that wrap it
// say why and what to do.
var ErrNoKVM = errors.New("KVM is not usable")

// System is an open /dev/kvm. It is safe for concurrent use.
type System struct {
	fd      int
	mmapLen int
	cpuid   cpuid2
	sync    bool // registers pass through struct kvm_run
}

// Open opens a KVM device, normally /dev/kvm, and checks that it offers what this package uses.
func Open(path string) (*System, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("%w: virtual machines of instarfs are for x86-64 only, this is %s",
			ErrNoKVM, runtime.GOARCH)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	s := &System{fd: fd}
	if err := s.check(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%w: %s: %w", ErrNoKVM, path, err)
	}
	return s, nil
}

// openError says why a KVM device cannot be opened, and what to do.
func openError(path string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		advice = ": load the module (modprobe kvm_intel or kvm_amd), or enable virtualisation in " +
			"the firmware or nested virtualisation on the host"
	case errors.Is(err, unix.EACCES):
		advice = ": " + admission(path)
	case errors.Is(err, unix.EPERM):
		advice = ": the device is not allowed here; give it to the container (--device /dev/kvm) " +
			"or to the service (DeviceAllow=/dev/kvm rw)"
	}
	return fmt.Errorf("%w: open %s: %w%s", ErrNoKVM, path, err, advice)
}

// admission says how a user who may not open a device gets to.
func admission(path string) string {
	const both = unix.S_IRGRP | unix.S_IWGRP
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil && st.Gid != 0 && st.Mode&both == both {
		if g, err := user.LookupGroupId(strconv.Itoa(int(st.Gid))); err == nil {
			return "join its group (usermod -aG " + g.Name + " USER, then log in again), or run " +
				"as root"
		}
	}
	return "only root may open it here; let a group in (chgrp kvm " + path + "; chmod 660 " + path +
		", which udev does where it runs), or run as root"
}

func (s *System) check() error {
	v, err := ioctl(s.fd, _KVM_GET_API_VERSION, 0)
	if err != nil {
		return fmt.Errorf("KVM_GET_API_VERSION: %w", err)
	}
	if v != _KVM_API_VERSION {
		return fmt.Errorf("API version %d, %d is needed", v, _KVM_API_VERSION)
	}
	for _, c := range []struct {
		number uintptr
		name   string
	}{{_KVM_CAP_USER_MEMORY, "USER_MEMORY"}, {_KVM_CAP_XCRS, "XCRS"},
		{_KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"}} {
		if n, err := ioctl(s.fd, _KVM_CHECK_EXTENSION, c.number); err != nil || n == 0 {
			return fmt.Errorf("the kernel lacks KVM_CAP_%s", c.name)
		}
	}
	n, err := ioctl(s.fd, _KVM_GET_VCPU_MMAP_SIZE, 0)
	if err != nil {
		return fmt.Errorf("KVM_GET_VCPU_MMAP_SIZE: %w", err)
	}
	s.mmapLen = int(n)
	if s.mmapLen < runLen {
		return fmt.Errorf("struct kvm_run of %d bytes, %d are needed", s.mmapLen, runLen)
	}
	offered, err := ioctl(s.fd, _KVM_CHECK_EXTENSION, _KVM_CAP_SYNC_REGS)
	s.sync = err == nil && offered&(syncRegs|syncSregs) == syncRegs|syncSregs
	s.cpuid.nent = maxCPUIDEntries
	if err := ioctlPtr(s.fd, _KVM_GET_SUPPORTED_CPUID, &s.cpuid); err != nil {
		return fmt.Errorf("KVM_GET_SUPPORTED_CPUID: %w", err)
	}
	s.cpuid.forgetWhere()
	return nil
}

// Identity is all that decides what processor guests see: the same bytes, the same processor.
func (s *System) Identity() []byte { return s.cpuid.identity() }

// Close closes the device. VMs made from it live on.
func (s *System) Close() error { return unix.Close(s.fd) }

// VM is a virtual machine with one block of memory. It is not safe for concurrent use.
type VM struct {
	fd     int
	sys    *System
	manual bool // the dirty log starts anew only with ClearDirtyLog
}

// CreateVM makes an empty virtual machine.
func (s *System) CreateVM() (*VM, error) {
	fd, err := ioctl(s.fd, _KVM_CREATE_VM, 0)
	for err == unix.EINTR {
		// The kernel gives up when a signal is pending, and the Go runtime sends its threads some.
		// Each is gone by now.
		fd, err = ioctl(s.fd, _KVM_CREATE_VM, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("KVM_CREATE_VM: %w", err)
	}
	// Where the kernel is too old for this, DirtyLog starts the log anew each time, which is right
	// too, and slower.
	c := enableCap{cap: _KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		args: [4]uint64{_KVM_DIRTY_LOG_MANUAL_PROTECT}}
	err = ioctlPtr(int(fd), _KVM_ENABLE_CAP, &c)
	return &VM{fd: int(fd), sys: s, manual: err == nil}, nil
}

// Close destroys the machine, unless a vCPU of it is still open.
func (v *VM) Close() error { return unix.Close(v.fd) }

// SetMemory makes mem, whose pages must stay mapped until the machine is destroyed, guest-physical
// memory from address 0. With log, KVM logs the pages that the guest writes from now on. A second
// call with the same memory begins or ends the log.
func (v *VM) SetMemory(mem []byte, log bool) error {
	r := userspaceMemoryRegion{memorySize: uint64(len(mem)), userspaceAddr: addressOf(mem)}
	if log {
		r.flags = _KVM_MEM_LOG_DIRTY_PAGES
	}
	if err := ioctlPtr(v.fd, _KVM_SET_USER_MEMORY_REGION, &r); err != nil {
		return fmt.Errorf("KVM_SET_USER_MEMORY_REGION of %d bytes: %w", len(mem), err)
	}
	return nil
}

// DirtyLog fills bitmap, one bit a page and a whole number of words for the memory, with the pages
// that the guest wrote since ClearDirtyLog, or at least since the last call. Pages in the log are
// written without a fault.
func (v *VM) DirtyLog(bitmap []uint64) error {
	l := dirtyLog{bitmap: addressOfWords(bitmap)}
	err := ioctlPtr(v.fd, _KVM_GET_DIRTY_LOG, &l)
	runtime.KeepAlive(bitmap)
	return named("KVM_GET_DIRTY_LOG", err)
}

// ClearDirtyLog takes the pages in bitmap out of the log: the next write to one of them is noticed
// again, by a fault.
func (v *VM) ClearDirtyLog(bitmap []uint64) error {
	if !v.manual {
		return nil
	}
	l := clearDirtyLog{numPages: uint32(64 * len(bitmap)), bitmap: addressOfWords(bitmap)}
	err := ioctlPtr(v.fd, _KVM_CLEAR_DIRTY_LOG, &l)
	runtime.KeepAlive(bitmap)
	return named("KVM_CLEAR_DIRTY_LOG", err)
}

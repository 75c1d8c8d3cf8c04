package kvm

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/needs"
)

// fakeRun is a vCPU whose struct kvm_run nobody shares.
func fakeRun() *VCPU { return &VCPU{fd: -1, run: make([]byte, runLen)} }

// TestImmediateExit: the flag is the second byte of the structure, and the bytes beside it stay as
// they are.
func TestImmediateExit(t *testing.T) {
	c := fakeRun()
	for _, on := range []bool{true, true, false, true, false} {
		c.SetImmediateExit(on)
		for i, b := range c.run[:16] {
			if want := i == 1 && on; (b == 1) != want || b > 1 {
				t.Fatalf("%v: byte %d is %d", on, i, b)
			}
		}
	}
}

func TestMMIO(t *testing.T) {
	c := fakeRun()
	le := binary.LittleEndian
	le.PutUint32(c.run[8:], ExitMMIO)
	le.PutUint64(c.run[32:], 0xd0000050)
	le.PutUint64(c.run[40:], 0x1122334455667788)
	le.PutUint32(c.run[48:], 4)
	c.run[52] = 1
	if got, want := c.MMIO(),
		(MMIO{Addr: 0xd0000050, Len: 4, Write: true, Value: 0x55667788}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if c.ExitReason() != ExitMMIO {
		t.Error(c.ExitReason())
	}
	// More than the field holds: the kernel never says so, and it would not be believed.
	le.PutUint32(c.run[48:], 1<<31)
	c.run[52] = 0
	if got, want := c.MMIO(),
		(MMIO{Addr: 0xd0000050, Len: 8, Value: 0x1122334455667788}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	c.SetMMIO(0xabcd)
	if got := le.Uint64(c.run[40:]); got != 0xabcd {
		t.Errorf("%#x", got)
	}
}

// TestReasons: both are first in the union, and the suberror is followed by the number of its data.
func TestReasons(t *testing.T) {
	c := fakeRun()
	le := binary.LittleEndian
	le.PutUint64(c.run[32:], 1<<63|33)
	if got := c.FailEntryReason(); got != 1<<63|33 {
		t.Errorf("%#x", got)
	}
	le.PutUint32(c.run[32:], 3)
	le.PutUint32(c.run[36:], 8)
	if got := c.Suberror(); got != 3 {
		t.Errorf("%#x", got)
	}
}

func TestXCR0(t *testing.T) {
	leaf := func(fn, index, eax uint32) cpuid2 {
		c := cpuid2{nent: 2}
		c.entries[1] = cpuidEntry{function: fn, index: index, eax: eax}
		return c
	}
	for _, test := range []struct {
		name string
		c    cpuid2
		want uint64
	}{
		{"AVX-512", leaf(0xd, 0, 0xe7), 7},
		{"AVX", leaf(0xd, 0, 7), 7},
		{"SSE", leaf(0xd, 0, 3), 3},
		{"subleaf", leaf(0xd, 1, 7), 3},
		{"other leaf", leaf(7, 0, 7), 3},
		{"more entries than there is room for", cpuid2{nent: 1 << 31}, 3},
	} {
		if got := test.c.xcr0(); got != test.want {
			t.Errorf("%s: %#x, want %#x", test.name, got, test.want)
		}
	}
}

// TestOpenSaysWhatToDo: each way in which KVM can be missing is ErrNoKVM on one line, with its
// path, and leaks nothing.
func TestOpenSaysWhatToDo(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, want string }{
		{plain + "-not", "no such file or directory: load the module"},
		{plain, "KVM_GET_API_VERSION"},
		{plain + "/kvm", "not a directory"},
	} {
		s, err := Open(test.path)
		if s != nil || !errors.Is(err, ErrNoKVM) || !strings.Contains(err.Error(), test.want) ||
			!strings.Contains(err.Error(), test.path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", test.path, err)
		}
	}
}

// TestAdvice: what keeps a device from being opened needs different things to be done.
func TestAdvice(t *testing.T) {
	for err, want := range map[unix.Errno]string{
		unix.ENOENT: "modprobe", unix.ENODEV: "modprobe", unix.EPERM: "--device /dev/kvm",
		unix.EMFILE: "too many open files",
	} {
		got := openError("/dev/kvm", err)
		if !errors.Is(got, ErrNoKVM) || !errors.Is(got, err) ||
			!strings.Contains(got.Error(), want) {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// TestAdmission: a group lets users in only if the device has one that may use it.
func TestAdmission(t *testing.T) {
	needs.Root(t)
	const disk = 6 // in /etc/group of every Debian
	for _, c := range []struct {
		gid  int
		mode os.FileMode
		want string
	}{
		{disk, 0o660, "usermod -aG disk USER"}, {disk, 0o600, "chgrp kvm "},
		{0, 0o660, "chgrp kvm "},
	} {
		device := filepath.Join(t.TempDir(), "kvm")
		err := errors.Join(os.WriteFile(device, nil, 0o600), os.Chown(device, 0, c.gid),
			os.Chmod(device, c.mode))
		if err != nil {
			t.Fatal(err)
		}
		if got := openError(device, unix.EACCES); !strings.Contains(got.Error(), c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// TestCreateVMAmidSignals: the Go runtime signals its threads, and KVM_CREATE_VM minds.
func TestCreateVMAmidSignals(t *testing.T) {
	needs.KVM(t)
	s, err := Open("/dev/kvm")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := unix.Gettid()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Microsecond):
				unix.Tgkill(unix.Getpid(), tid, unix.SIGURG)
			}
		}
	}()
	for i := range 50 {
		vm, err := s.CreateVM()
		if err != nil {
			t.Errorf("machine %d: %v", i, err)
			break
		}
		vm.Close()
	}
	close(stop)
	<-stopped
}

// TestMachine makes a machine, and takes it apart again, without running it.
func TestMachine(t *testing.T) {
	needs.KVM(t)
	s, err := Open("/dev/kvm")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	vm, err := s.CreateVM()
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Close()
	const n = 64 * 4096
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	if err := vm.SetMemory(mem, true); err != nil {
		t.Fatal(err)
	}
	c, err := vm.CreateVCPU()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := Regs{RAX: 1, R15: 15, RIP: 0x1000, RFLAGS: 2, RSP: 0x2000}
	var got Regs
	if err := errors.Join(c.SetRegs(&want), c.Regs(&got)); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	var sr Sregs
	var x Xsave
	if err := errors.Join(c.Sregs(&sr), c.SetSregs(&sr), c.Xsave(&x), c.SetXsave(&x)); err != nil {
		t.Error(err)
	}
	if err := c.SetMSRs(MSR{Index: 0xc0000082, Data: 0x1000}); err != nil {
		t.Error(err)
	}
	if err := c.SetMSRs(MSR{Index: 0xc0000082}, MSR{Index: 0xdeadbeef}); err == nil ||
		!strings.Contains(err.Error(), "0xdeadbeef") {
		t.Error("a register that does not exist:", err)
	}
	dirty := []uint64{0}
	if err := vm.DirtyLog(dirty); err != nil || dirty[0] != 0 {
		t.Errorf("%#x, %v", dirty, err)
	}
	// A kicked processor does not enter the guest.
	c.SetImmediateExit(true)
	if err := c.Run(); err != unix.EINTR {
		t.Error(err)
	}
}

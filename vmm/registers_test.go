package vmm

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"instarfs/vmm/kvm"
)

// ioctl numbers that only tests need, as in package kvm.
const (
	_KVM_GET_MSR_INDEX_LIST = 0xC004AE02
	_KVM_GET_MSRS           = 0xC008AE88
	_KVM_GET_VCPU_EVENTS    = 0x8040AE9F
	_KVM_GET_DEBUGREGS      = 0x8080AEA1
	_KVM_GET_XCRS           = 0x8188AEA6
)

// ioctl passes a structure, and returns the number that the request answers. It panics, which is an
// error of machine.do: a test must not end on the machine's thread.
func ioctl(fd int, request uintptr, b []byte) uint64 {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request,
		uintptr(unsafe.Pointer(&b[0])))
	if errno != 0 {
		panic(fmt.Sprintf("ioctl %#x: %v", request, errno))
	}
	return uint64(n)
}

// msrIndexes lists the model specific registers that KVM keeps.
func msrIndexes(t *testing.T) []uint32 {
	t.Helper()
	fd, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const room = 4096
	b := le.AppendUint32(nil, room)
	b = append(b, make([]byte, 4*room)...)
	ioctl(fd, _KVM_GET_MSR_INDEX_LIST, b)
	var list []uint32
	for i := range le.Uint32(b) {
		list = append(list, le.Uint32(b[4+4*i:]))
	}
	return list
}

// clocks are the model specific registers that change by themselves: the time stamp counter, and
// Hyper-V's counters of time.
var clocks = []uint32{0x10, 0x40000010, 0x40000020}

// registers is every register of a processor that KVM lets the host read.
type registers struct {
	sets map[string][]byte
	msrs map[uint32]uint64
}

// readRegisters runs on the machine's thread.
func readRegisters(c *kvm.VCPU, indexes []uint32) registers {
	var general kvm.Regs
	var special kvm.Sregs
	var vector kvm.Xsave
	for _, err := range []error{c.Regs(&general), c.Sregs(&special), c.Xsave(&vector)} {
		if err != nil {
			panic(err)
		}
	}
	r := registers{msrs: map[uint32]uint64{}, sets: map[string][]byte{
		"general": memoryOf(&general), "special": memoryOf(&special), "vector": memoryOf(&vector),
	}}
	fd := int(reflect.ValueOf(c).Elem().FieldByName("fd").Int())
	for name, request := range map[string]uintptr{
		"events": _KVM_GET_VCPU_EVENTS, "debug": _KVM_GET_DEBUGREGS, "xcr": _KVM_GET_XCRS,
	} {
		r.sets[name] = make([]byte, request>>16&0x3fff) // the size is part of the number
		ioctl(fd, request, r.sets[name])
	}
	for _, i := range indexes {
		b := make([]byte, 24) // struct kvm_msrs with one entry
		le.PutUint32(b, 1)
		le.PutUint32(b[8:], i)
		if ioctl(fd, _KVM_GET_MSRS, b) == 1 { // else this processor has no such register
			r.msrs[i] = le.Uint64(b[16:])
		}
	}
	for _, i := range clocks {
		delete(r.msrs, i)
	}
	return r
}

func memoryOf[T any](p *T) []byte {
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p)))
}

// same reports what differs between two states of a processor.
func (r registers) same(t *testing.T, other registers) {
	t.Helper()
	for name, a := range r.sets {
		b := other.sets[name]
		for i := range a {
			if a[i] != b[i] {
				end := min(i+16, len(a))
				t.Errorf("%s registers differ from byte %d: % x, now % x", name, i, a[i:end],
					b[i:end])
				break
			}
		}
	}
	if !maps.Equal(r.msrs, other.msrs) {
		for i, v := range r.msrs {
			if w := other.msrs[i]; v != w {
				t.Errorf("model specific register %#x was %#x, now %#x", i, v, w)
			}
		}
	}
}

// hasAVX reports whether guests have the upper halves of vector registers.
func hasAVX(t *testing.T) bool {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(info), " avx ")
}

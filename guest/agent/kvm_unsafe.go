//go:build amd64

package main

import (
	"unsafe"

	"instarfs/guest/abi"
)

// store32 writes a device register or rings a doorbell.
//
//go:noescape
func store32(addr uintptr, v uint32)

// load32 reads a device register.
//
//go:noescape
func load32(addr uintptr) uint32

// pointer makes a pointer of an address that the host mapped before the program started, outside of
// the Go heap.
//
//go:noescape
func pointer(addr uintptr) unsafe.Pointer

// sharedWindow is the memory that guest and host share.
func sharedWindow() []byte { return unsafe.Slice((*byte)(pointer(abi.SharedVA)), abi.SharedLen) }

// physical is the guest-physical address of b when all of it lies in the shared window.
func physical(b []byte) (gpa uint64, ok bool) {
	at := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	if at < abi.SharedVA || at-abi.SharedVA > abi.SharedLen ||
		uint64(len(b)) > abi.SharedLen-(at-abi.SharedVA) {
		return 0, false
	}
	return abi.SharedGPA + (at - abi.SharedVA), true
}

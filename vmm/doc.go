// Package vmm carries a run of the map guest in a virtual machine: a Go program at CPL3 of a tiny
// KVM machine, over one read-only block device. It is the first carrier of package session. It runs
// any program that keeps the protocol of package abi; it knows no path, no image format and no file
// system.
//
// # Trust
//
// The guest is taken to be hostile from its first instruction: the image that it parses may own it.
// It can read and write its own memory, the shared window and the device's registers, and ring
// doorbells. Every number that it leaves there is checked where the host reads it: in package
// session, which takes extents and the result out of the window while the guest stands still, in
// packages abi and virtio, and in syscall.go. Nothing the guest does makes the host panic, wait, or
// allocate beyond its Budget. What it does against the rules ends its run with a
// *session.GuestError, and its machine.
//
// # Exits
//
//	MMIO at a doorbell      a system call (syscall.go), or a step of the run (run.go)
//	MMIO at the device      a register of virtio-blk; QueueNotify serves all
//	                        requests before it returns
//	hlt                     an exception, named by the address (exception.go)
//	everything else         the end of the run
//
// The clock, and system calls whose answer is always 0, are answered in the guest (package space).
//
// # Life of a machine
//
// The first run of a Pool boots the program until it rings Ready, copies what it is then, and goes
// on in that machine; or it takes the copy that another process has kept (keep.go, kept.go). Each
// run begins at that snapshot, in a machine that is reset to it afterwards by the log of dirty
// pages, or destroyed when the run went wrong or changed its page tables. No byte of one image
// survives into the run of another.
//
// # Threads
//
// KVM wants a virtual processor to stay on one thread, so a machine has a goroutine that is locked
// to one, and all of its methods but do, kick and destroy run there. The locks of a Pool are taken
// in the order boot, using, mu. None is held while a guest runs, but boot during the first start.
//
// Sources: Linux Documentation/virt/kvm/api.rst; Intel SDM volume 3; AMD APM volume 2; virtio 1.2;
// System V ABI, x86-64.
package vmm

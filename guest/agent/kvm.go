//go:build amd64

package main

import (
	"runtime"

	"instarfs/guest/abi"
	"instarfs/guest/run"
)

// serveKVM carries out one job in a virtual machine.
func serveKVM() {
	shared := sharedWindow()
	d := newDevice(shared)
	if !d.initialise() {
		panic("the block device does not answer as virtio 1.2 wants it to")
	}
	growHeap()
	bell(abi.BellReady)
	// The host's snapshot was taken inside bell. Every run begins here.
	config := shared[abi.ConfigOffset:][:abi.ConfigLen]
	produced, _ := run.Job(config, d, shared[abi.ResultOffset:][:abi.ResultLen])
	d.publish(produced)
	bell(abi.BellDone)
	panic("the host went on after the end of a run")
}

// growHeap makes the runtime ask for memory now rather than during a run: a run that maps memory
// changes the page tables, and its machine cannot be reset. What is grown here is untouched, and
// costs nothing until it is used.
func growHeap() {
	const enough = 16 << 20
	keep := make([]byte, enough)
	runtime.KeepAlive(keep)
	runtime.GC() // the block is free again, its memory stays
}

// bell rings a doorbell: the host does its work before this returns.
func bell(b uintptr) { store32(abi.DoorbellVA+b, 1) }

// Full implements run.Port.
func (d *device) Full(produced uint64) {
	d.publish(produced)
	bell(abi.BellRing)
}

// publish says how many records are in the ring.
func (d *device) publish(produced uint64) {
	le.PutUint64(d.shared[abi.RingControl:], produced)
}

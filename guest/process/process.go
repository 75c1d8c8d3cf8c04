// Package process is the guest's side of a host that runs it as a process: it makes the system
// calls that confine it, receives its job, and hands on what it finds. Package vmm/jail is the
// other side. All policy is there.
package process

import (
	"runtime"

	"instarfs/guest/abi"
)

// channelFD is the stream to the host.
const channelFD = 0

const (
	fGetFL   = 3 // F_GETFL of fcntl(2)
	oAccMode = 3
	oRDWR    = 2
)

// Runs reports whether a kernel runs the program: descriptor 0 is then a socket, which can be read
// and written. The host of a virtual machine answers 0.
func Runs() bool {
	flags := syscall6(sysFcntl, channelFD, fGetFL, 0, 0, 0, 0)
	return flags&^0xffff == 0 && flags&oAccMode == oRDWR
}

// Serve carries out the host's steps, then calls job, once, which must begin with Port.Job. Steps
// change the thread that makes them, and the last of them may execute the program again in that
// thread. Serve does not return: the host ends the process.
func Serve(job func(*Port)) {
	runtime.LockOSThread()
	// Memory is allocated before the steps that limit it. None of it is touched yet.
	p := newPort()
	for {
		h := p.receive()
		switch h.Kind {
		case abi.MsgSteps:
			payload := make([]byte, h.Length)
			p.Receive(payload)
			p.send(abi.MsgStepsDone, h.N, CarryOut(int(h.N), payload))
		case abi.MsgFork:
			p.fork(h.N)
		case abi.MsgJob:
			job(p)
			p.receive() // the end of the stream, or of this process
		default:
			panic("a message of an unknown kind from the host")
		}
	}
}

// fork continues as a new process, which carries out steps and then executes the program again.
// This one tells the host which it is, and ends.
func (p *Port) fork(flags uint32) {
	pid := fork(uintptr(flags), new(forkMemory))
	p.send(abi.MsgForked, uint32(pid))
	if int32(pid) > 0 {
		syscall6(sysExitGroup, 0, 0, 0, 0, 0, 0)
	}
}

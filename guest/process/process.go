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

// Serve carries out the host's last steps, then calls job, once, which must begin with Port.Job.
// Most of the steps were carried out before the program was executed for the second time, see
// confine. Serve does not return: the host ends the process.
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
		case abi.MsgJob:
			job(p)
			p.receive() // the end of the stream, or of this process
		default:
			panic("a message of an unknown kind from the host")
		}
	}
}

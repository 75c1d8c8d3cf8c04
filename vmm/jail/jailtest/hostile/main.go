// Command hostile is a guest for tests of package jail. It starts as the map guest does, lets
// itself be confined, and then does what a script at the start of its image says: see package
// jailtest.
package main

import (
	"encoding/binary"
	"math"
	"runtime"

	"instarfs/guest/abi"
	"instarfs/guest/process"
	"instarfs/vmm/jail/jailtest"
)

func main() { process.Serve(misbehave) }

// misbehave carries out the script of a job.
func misbehave(p *process.Port) {
	p.Job()
	var result int32 // of the last system call
	for script := p.Mirror(); ; {
		h := abi.DecodeHeader(script)
		payload := script[abi.HeaderLen:][:h.Length]
		script = script[abi.HeaderLen+h.Length:]
		switch h.Kind {
		case jailtest.End:
			return
		case jailtest.Steps:
			all := process.CarryOut(int(h.N), payload)
			result = int32(binary.LittleEndian.Uint64(all[len(all)-8:]))
		case jailtest.Want:
			if result != int32(h.N) {
				println("a system call returned", result)
				panic("not what the test wants")
			}
		case jailtest.Send:
			for i := uint32(0); h.N == 0 || i < h.N; i++ {
				p.Send(payload)
			}
		case jailtest.Receive:
			p.Receive(make([]byte, h.N))
		case jailtest.Ask:
			for answer := make([]byte, h.N); ; p.Receive(answer) {
				p.Send(payload)
			}
		case jailtest.Foreign:
			foreign(h.N)
		case jailtest.Spin:
			spin(int(h.N))
		case jailtest.Threads:
			for {
				go func() {
					runtime.LockOSThread() // each needs a thread of its own
					select {}
				}()
				runtime.Gosched()
			}
		case jailtest.Fill:
			fill(h.N)
		case jailtest.Allocate:
			fill(math.MaxUint32)
		case jailtest.Crash:
			var none *int
			*none = 1
		}
	}
}

// spin computes on n threads.
func spin(n int) {
	runtime.GOMAXPROCS(n)
	for range n - 1 {
		go forever()
	}
	forever()
}

func forever() {
	//lint:ignore SA5002 this is what it is for
	for {
	}
}

// kept is memory that was filled.
var kept [][]byte

// fill writes to n MiB of memory.
func fill(n uint32) {
	for range n {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = 1
		}
		kept = append(kept, b)
	}
}

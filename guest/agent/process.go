package main

import (
	"runtime"

	"instarfs/guest/abi"
	"instarfs/guest/run"
)

// channelFD is the stream to the host.
const channelFD = 0

// serveProcess carries out steps and one job for the host. Steps change the thread that makes them,
// and what they set up may be this program once more, in that thread.
func serveProcess() {
	runtime.LockOSThread()
	// Memory is asked for before the steps that bound it. None of it is touched yet.
	p := newPort()
	page := make([]byte, abi.ResultLen)
	for {
		h := p.receive()
		switch h.Kind {
		case abi.MsgSteps:
			payload := make([]byte, h.Length)
			p.fill(payload)
			p.send(abi.MsgStepsDone, h.N, carryOut(int(h.N), payload))
		case abi.MsgFork:
			p.fork(h.N)
		case abi.MsgJob:
			produced, n := run.Job(p.job(), p, page)
			left := produced - p.handed
			p.send(abi.MsgDone, uint32(left), p.ring[:left*abi.RecordLen], page[:n])
			p.receive() // the end of the stream, or of this process
		default:
			panic("a message of an unknown kind from the host")
		}
	}
}

// port reaches the host by messages. It implements run.Port.
type port struct {
	header  [abi.HeaderLen]byte
	config  [abi.ConfigLen]byte
	mirror  []byte
	buffers []byte
	ring    []byte
	reads   []byte // encoded requests
	handed  uint64 // records that were handed over
}

func newPort() *port {
	return &port{
		mirror:  make([]byte, abi.MirrorLen),
		buffers: make([]byte, abi.BuffersLen),
		ring:    make([]byte, abi.RingLen),
		reads:   make([]byte, abi.MaxRequests*abi.ReadLen),
	}
}

// fork goes on as a new process: clone(2) without a stack of its own. The new process has this
// thread alone, so the Go runtime in it is good for a few steps, of which the last executes a program.
func (p *port) fork(flags uint32) {
	pid := syscall6(sysClone, uintptr(flags), 0, 0, 0, 0, 0)
	if pid == 0 {
		return
	}
	p.send(abi.MsgForked, uint32(pid))
	if int32(pid) > 0 {
		syscall6(sysExitGroup, 0, 0, 0, 0, 0, 0)
	}
}

// job receives the rest of a MsgJob: it fills the mirror and returns the configuration.
func (p *port) job() []byte {
	p.fill(p.config[:])
	c, err := abi.DecodeConfig(p.config[:])
	if err != nil {
		panic("the host sent no configuration")
	}
	for i, n := range c.MirrorLens() {
		p.fill(p.mirror[i*abi.MirrorStride:][:n])
	}
	return p.config[:]
}

// receive returns the header of the next message.
func (p *port) receive() abi.Header {
	p.fill(p.header[:])
	return abi.DecodeHeader(p.header[:])
}

// fill receives len(b) bytes.
func (p *port) fill(b []byte) {
	for len(b) > 0 {
		n := read(channelFD, b)
		if n == 0 {
			panic("the host has left")
		}
		b = b[n:]
	}
}

// send sends a message of at most two parts.
func (p *port) send(kind, n uint32, parts ...[]byte) {
	length := 0
	for _, b := range parts {
		length += len(b)
	}
	abi.Header{Kind: kind, N: n, Length: uint32(length)}.Encode(p.header[:])
	out := append([][]byte{p.header[:]}, parts...)
	for len(out) > 0 {
		n := writev(channelFD, out)
		if n == 0 {
			panic("the host has left")
		}
		for len(out) > 0 && n >= len(out[0]) {
			n -= len(out[0])
			out = out[1:]
		}
		if len(out) > 0 {
			out[0] = out[0][n:]
		}
	}
}

// Mirror implements run.Port.
func (p *port) Mirror() []byte { return p.mirror }

// Buffers implements run.Port.
func (p *port) Buffers() []byte { return p.buffers }

// Reaches implements run.Port: what the host sends can be received anywhere.
func (p *port) Reaches([]byte) bool { return true }

// Ring implements run.Port.
func (p *port) Ring() []byte { return p.ring }

// Full implements run.Port.
func (p *port) Full(produced uint64) {
	p.send(abi.MsgRecords, uint32(produced-p.handed), p.ring)
	p.handed = produced
}

// Read implements run.Port.
func (p *port) Read(batch []run.Read) int {
	for i, r := range batch {
		abi.PutRead(p.reads[i*abi.ReadLen:], r.Sector, uint32(len(r.Buf)))
	}
	p.send(abi.MsgRead, uint32(len(batch)), p.reads[:len(batch)*abi.ReadLen])
	for i, r := range batch {
		for b := r.Buf; len(b) > 0; {
			h := p.receive()
			if h.N == 0 {
				return i
			}
			p.fill(b[:h.Length])
			b = b[h.Length:]
		}
	}
	return len(batch)
}

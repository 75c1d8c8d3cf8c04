package process

import (
	"instarfs/guest/abi"
	"instarfs/guest/run"
)

// Port reaches the host by messages. It implements run.Port. Its methods panic when the host has
// closed the stream.
type Port struct {
	header  [abi.HeaderLen]byte
	config  [abi.ConfigLen]byte
	mirror  []byte
	buffers []byte
	ring    []byte
	reads   []byte // encoded requests
	handed  uint64 // records that were handed over
}

func newPort() *Port {
	return &Port{
		mirror:  make([]byte, abi.MirrorLen),
		buffers: make([]byte, abi.BuffersLen),
		ring:    make([]byte, abi.RingLen),
		reads:   make([]byte, abi.MaxRequests*abi.ReadLen),
	}
}

// Job receives the job: it fills the mirror and returns the encoded configuration.
func (p *Port) Job() []byte {
	p.Receive(p.config[:])
	c, err := abi.DecodeConfig(p.config[:])
	if err != nil {
		panic("the host sent no configuration")
	}
	for i, n := range c.MirrorLens() {
		p.Receive(p.mirror[i*abi.MirrorStride:][:n])
	}
	return p.config[:]
}

// Done ends the job: produced records are in the ring or were handed over, and the result is
// encoded.
func (p *Port) Done(produced uint64, result []byte) {
	left := produced - p.handed
	p.send(abi.MsgDone, uint32(left), p.ring[:left*abi.RecordLen], result)
}

// receive returns the header of the next message.
func (p *Port) receive() abi.Header {
	p.Receive(p.header[:])
	return abi.DecodeHeader(p.header[:])
}

// Receive fills b with the next bytes of the stream.
func (p *Port) Receive(b []byte) {
	for len(b) > 0 {
		n := read(channelFD, b)
		if n == 0 {
			panic("the host has left")
		}
		b = b[n:]
	}
}

// send sends a message of at most two parts.
func (p *Port) send(kind, n uint32, parts ...[]byte) {
	length := 0
	for _, b := range parts {
		length += len(b)
	}
	abi.Header{Kind: kind, N: n, Length: uint32(length)}.Encode(p.header[:])
	p.Send(append([][]byte{p.header[:]}, parts...)...)
}

// Send sends parts, at most three, as they are: they should be a message.
func (p *Port) Send(parts ...[]byte) {
	for len(parts) > 0 {
		n := writev(channelFD, parts)
		if n == 0 {
			panic("the host has left")
		}
		for len(parts) > 0 && n >= len(parts[0]) {
			n -= len(parts[0])
			parts = parts[1:]
		}
		if len(parts) > 0 {
			parts[0] = parts[0][n:]
		}
	}
}

// Mirror implements run.Port.
func (p *Port) Mirror() []byte { return p.mirror }

// Buffers implements run.Port.
func (p *Port) Buffers() []byte { return p.buffers }

// Reaches implements run.Port: what the host sends can be received anywhere.
func (p *Port) Reaches([]byte) bool { return true }

// Ring implements run.Port.
func (p *Port) Ring() []byte { return p.ring }

// Full implements run.Port.
func (p *Port) Full(produced uint64) {
	p.send(abi.MsgRecords, uint32(produced-p.handed), p.ring)
	p.handed = produced
}

// Read implements run.Port.
func (p *Port) Read(batch []run.Read) int {
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
			p.Receive(b[:h.Length])
			b = b[h.Length:]
		}
	}
	return len(batch)
}

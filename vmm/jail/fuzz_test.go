package jail

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// FuzzTransport runs a session with a stream of bytes in place of a child. It must end, by a result
// or with an error that blames the guest, and take no more memory than its buffers and its budget.
func FuzzTransport(f *testing.F) {
	end := does{}.good()[abi.HeaderLen:]
	read := message(abi.MsgRead, 2, request(3, 512), request(0, 4096))
	half := records(whole(2048), whole(2048))
	le.PutUint64(half[abi.RecordLen:], 2048) // where the second starts
	for _, seed := range [][]byte{
		nil, end, append(read, end...), end[:20], message(99, 0),
		message(abi.MsgRead, 1, request(0, 1<<20)),
		append(message(abi.MsgRecords, 1, half[:abi.RecordLen]), message(abi.MsgDone, 1,
			half[abi.RecordLen:], result(abi.Result{Format: 1, Extents: 2, VirtualSize: 4096}))...),
		bytes.Repeat(message(abi.MsgRead, 1, request(1<<40, 512)), 3),
		message(abi.MsgRead, 1, request(0, math.MaxUint32)),
	} {
		f.Add(seed)
	}
	const memory = 64 << 20
	budget := session.Budget{Time: time.Minute, Exits: 100, Read: 4 << 20, Extents: 1000}
	f.Fuzz(func(t *testing.T, stream []byte) {
		books := ledger.New(memory)
		host := session.NewHost(session.Options{Budget: budget, Memory: books})
		c, end := streamChild(t, stream, books)
		layer, err := host.Run(t.Context(), func(ticket *session.Ticket) (*session.Layer, error) {
			defer ticket.Leave()
			return c.run(t.Context(), does{}.job(), ticket)
		})
		c.close()
		end()
		if (layer == nil) == (err == nil) {
			t.Errorf("layer %v, error %v", layer, err)
		}
		var g *session.GuestError
		if err != nil && !errors.As(err, &g) && !session.IsFault(err) {
			t.Errorf("error is %v", err)
		}
		if cap(c.out) > maxOut || len(c.buf) != bufLen {
			t.Errorf("buffers of %d and %d bytes", cap(c.out), len(c.buf))
		}
	})
}

// streamChild is a child that is no process: what it sends is given, what it receives is dropped.
// end waits until it is gone.
func streamChild(t *testing.T, stream []byte, books *ledger.Ledger) (c *child, end func()) {
	host, guest, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	var log [2]int
	if err := unix.Pipe2(log[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	unix.Close(log[1])
	received, sent := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(received)
		for b := make([]byte, 65536); ; {
			if n, err := unix.Read(guest, b); n <= 0 && err != unix.EINTR {
				return
			}
		}
	}()
	go func() {
		defer close(sent)
		for len(stream) > 0 {
			n, err := unix.Write(guest, stream)
			if err != nil && err != unix.EINTR {
				break
			}
			stream = stream[max(n, 0):]
		}
		unix.Shutdown(guest, unix.SHUT_WR)
	}()
	c = &child{
		channel: channel{fd: host}, pid: math.MaxInt32, reaped: true, // no process has that number
		log: log[0], listener: -1, statm: -1, lease: books.First(), gone: make(chan struct{}),
	}
	return c, func() {
		<-received
		<-sent
		unix.Close(guest)
	}
}

package jail

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/vmm/session"
)

// buffers is the memory of a run for what it receives and sends.
type buffers struct {
	in  [abi.HeaderLen + abi.MaxMessage]byte
	out [maxOut]byte
}

// maxOut is the most bytes that are buffered for sending.
const maxOut = abi.HeaderLen + abi.MaxData

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

// Carrier implements session.Transport.
func (c *child) Carrier() string { return carrier }

// Start implements session.Transport.
func (c *child) Start(config *abi.Config, job *session.Job, disk *session.Disk) error {
	c.disk = disk
	// The configuration comes first. It says which pieces of the mirror follow.
	c.put(abi.MsgJob, 1, make([]byte, abi.ConfigLen))
	err := job.Mirror(config, func(_, n uint64) ([]byte, error) {
		// The next piece overwrites one that could not be filled.
		c.out = c.out[:abi.HeaderLen+abi.ConfigLen+mirrored(config)]
		at := len(c.out)
		c.out = c.out[:at+int(n)]
		return c.out[at:], nil
	})
	if err != nil {
		return err
	}
	c.out = c.out[:abi.HeaderLen+abi.ConfigLen+mirrored(config)]
	abi.Header{Kind: abi.MsgJob, N: 1, Length: uint32(len(c.out) - abi.HeaderLen)}.Encode(c.out)
	config.Encode(c.out[abi.HeaderLen:])
	c.proceed()
	return nil
}

// mirrored returns how many bytes of the mirror a configuration announces.
func mirrored(c *abi.Config) (n int) {
	for _, length := range c.MirrorLens() {
		n += int(length)
	}
	return n
}

// Next implements session.Transport.
func (c *child) Next(m *session.Meter) (session.Event, error) {
	for {
		if err := m.Exit(); err != nil {
			return session.Event{}, err
		}
		if err := c.giveWay(m); err != nil {
			return session.Event{}, err
		}
		if err := c.patiently(m, c.flush); err != nil {
			return session.Event{}, err
		}
		var h abi.Header
		var payload []byte
		err := c.patiently(m, func() (err error) {
			h, payload, err = c.receive()
			return err
		})
		if err != nil {
			return session.Event{}, err
		}
		switch h.Kind {
		case abi.MsgRead:
			if err := c.serve(m, h.N, payload); err != nil {
				return session.Event{}, err
			}
		case abi.MsgRecords, abi.MsgDone:
			return c.event(h, payload)
		default:
			return session.Event{}, c.Blame(session.KindProtocol,
				"message of kind %d during a run", h.Kind)
		}
	}
}

// patiently calls f until its error is not errTick. In between it checks what the child is doing.
func (c *child) patiently(m *session.Meter, f func() error) error {
	for {
		err := f()
		if err != errTick {
			return c.lost(err)
		}
		if e := c.refused(); e != nil {
			e.Log = c.logged()
			return e
		}
		if err := c.measure(); err != nil {
			return err
		}
		if err := c.giveWay(m); err != nil {
			return err
		}
	}
}

// giveWay stops the child when its turn is over, and waits for its next turn.
func (c *child) giveWay(m *session.Meter) error {
	if m.Left() > 0 {
		return nil
	}
	c.stop()
	defer c.proceed()
	return m.Yield()
}

// aside calls f, which may wait while the run has no turn. If that takes longer than a tick, the
// child is stopped until f returns.
func (c *child) aside(f func()) {
	stopped := make(chan struct{})
	late := time.AfterFunc(tick, func() {
		c.stop()
		close(stopped)
	})
	f()
	if !late.Stop() {
		<-stopped
		c.proceed()
	}
}

// lost turns an error of the channel into the error of the run.
func (c *child) lost(err error) error {
	var errno unix.Errno
	switch {
	case err == nil:
		return nil
	case err == errClosed:
		if e := c.refused(); e != nil {
			return e
		}
		return c.death()
	case errors.As(err, &errno):
		return session.Errorf(session.KindCarrier, "%v", err)
	}
	return c.Blame(session.KindProtocol, "%v", err)
}

// event checks a message with records and returns its contents.
func (c *child) event(h abi.Header, payload []byte) (e session.Event, err error) {
	if h.N > abi.RingRecords || int(h.N)*abi.RecordLen > len(payload) {
		return e, c.Blame(session.KindProtocol, "%d records in %d bytes", h.N, len(payload))
	}
	n := int(h.N) * abi.RecordLen
	e.Records[0] = payload[:n]
	switch {
	case h.Kind == abi.MsgDone:
		e.Result = payload[n:]
	case n == 0 || n != len(payload):
		return e, c.Blame(session.KindProtocol, "%d records in %d bytes", h.N, len(payload))
	}
	return e, nil
}

// serve answers a message with n requests for reads. It sends answers when the buffer is full, and
// leaves the rest for the next flush.
func (c *child) serve(m *session.Meter, n uint32, requests []byte) error {
	if n == 0 || n > abi.MaxRequests || int(n)*abi.ReadLen != len(requests) {
		return c.Blame(session.KindProtocol, "%d requests in %d bytes", n, len(requests))
	}
	for ; len(requests) > 0; requests = requests[abi.ReadLen:] {
		sector, left := abi.GetRead(requests)
		if left == 0 || left%abi.SectorLen != 0 {
			return c.Blame(session.KindProtocol, "request of %d bytes", left)
		}
		for left > 0 {
			n := min(left, abi.MaxData)
			if len(c.out)+abi.HeaderLen+int(n) > maxOut {
				if err := c.patiently(m, c.flush); err != nil {
					return err
				}
			}
			ok, err := c.read(sector, n)
			switch {
			case errors.Is(err, session.ErrReadLimit):
				return c.Blame(session.KindReads, "%v", err)
			case err != nil || !ok:
				return err
			}
			sector += uint64(n) / abi.SectorLen
			left -= n
		}
	}
	return nil
}

// read appends the answer to a request of n bytes to the bytes to send.
func (c *child) read(sector uint64, n uint32) (ok bool, err error) {
	at := len(c.out)
	c.out = c.out[:at+abi.HeaderLen+int(n)]
	c.aside(func() { ok, err = c.disk.ReadSectors(c.out[at+abi.HeaderLen:], sector) })
	h := abi.Header{Kind: abi.MsgData, N: 1, Length: n}
	if !ok {
		h.N, h.Length = 0, 0
		c.out = c.out[:at+abi.HeaderLen]
	}
	h.Encode(c.out[at:])
	return ok, err
}

// Blame implements session.Transport.
func (c *child) Blame(k session.Kind, format string, args ...any) *session.GuestError {
	e := session.Errorf(k, format, args...)
	e.Log = c.logged()
	return e
}

// measure books the memory that the child uses now. The error is that of ledger.Lease.Grow.
func (c *child) measure() error {
	var b [128]byte
	n, err := unix.Pread(c.statm, b[:], 0)
	if c.statm < 0 || err != nil {
		return nil // the limits hold all the same
	}
	var size, resident int
	if _, err := fmt.Sscan(string(b[:n]), &size, &resident); err != nil {
		return nil
	}
	if more := resident*pageLen + childCost/2 - int(c.lease.Bytes()); more > 0 {
		return c.lease.Grow(more)
	}
	return nil
}

package jail

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
)

// tick is how long the host waits for a child, at most, before it checks the child's time.
const tick = 10 * time.Millisecond

var (
	errTick   = errors.New("nothing within a tick")
	errClosed = errors.New("the channel is closed")
)

// channel is the host's end of a child's stream. It copies what arrives into memory of the host, as
// much as there is, and splits it into messages there.
type channel struct {
	fd   int
	buf  []byte // memory for received bytes: a message must fit
	in   []byte // the part of buf that was received and not returned yet
	out  []byte // bytes to send
	sent int    // how many bytes of out were sent
}

// bufLen holds the longest message of a child.
const bufLen = abi.HeaderLen + abi.MaxMessage

// newPair makes a stream. Calls on the host's end block for a tick at most.
func newPair() (host, child int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("socketpair: %w", err)
	}
	t := unix.NsecToTimeval(int64(tick))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(p[0], unix.SOL_SOCKET, option, &t); err != nil {
			unix.Close(p[0])
			unix.Close(p[1])
			return -1, -1, fmt.Errorf("timeout of a socket: %w", err)
		}
	}
	return p[0], p[1], nil
}

// receive returns the next message. Its payload is valid until the next call. The error is
// errTick if the message is not complete after a tick, even if part of it arrived; errClosed; or
// one that says that the header announces a longer message than a child may send.
func (c *channel) receive() (h abi.Header, payload []byte, err error) {
	for end := time.Now().Add(tick); ; {
		if len(c.in) >= abi.HeaderLen {
			h = abi.DecodeHeader(c.in)
			if int(h.Length) > len(c.buf)-abi.HeaderLen {
				return h, nil, fmt.Errorf("message of %d bytes", h.Length)
			}
			if whole := abi.HeaderLen + int(h.Length); len(c.in) >= whole {
				payload = c.in[abi.HeaderLen:whole]
				c.in = c.in[whole:]
				return h, payload, nil
			}
		}
		if time.Now().After(end) {
			return h, nil, errTick
		}
		if err := c.more(); err != nil {
			return h, nil, err
		}
	}
}

// more appends what has arrived to c.in.
func (c *channel) more() error {
	// Bytes not returned yet move to the front, over those that were.
	have := copy(c.buf, c.in)
	c.in = c.buf[:have]
	for {
		n, err := unix.Read(c.fd, c.buf[have:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return errTick
		case err != nil || n == 0:
			return errClosed
		default:
			c.in = c.buf[:have+n]
			return nil
		}
	}
}

// put appends a message to the bytes to send.
func (c *channel) put(kind, n uint32, payload []byte) {
	var b [abi.HeaderLen]byte
	abi.Header{Kind: kind, N: n, Length: uint32(len(payload))}.Encode(b[:])
	c.out = append(c.out, b[:]...)
	c.out = append(c.out, payload...)
}

// maxSend is how many bytes one call sends: the kernel waits up to a tick for each 32 KiB.
const maxSend = 32 << 10

// flush sends what was put. The error is errTick if not everything could be sent within a tick, or
// errClosed.
func (c *channel) flush() error {
	for end := time.Now().Add(tick); c.sent < len(c.out); {
		part := c.out[c.sent:min(len(c.out), c.sent+maxSend)]
		n, err := unix.SendmsgN(c.fd, part, nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return errTick
		case err != nil:
			return errClosed
		}
		c.sent += max(n, 0)
		if c.sent < len(c.out) && time.Now().After(end) {
			return errTick
		}
	}
	c.out, c.sent = c.out[:0], 0
	return nil
}

// receiveFD receives one byte and the descriptor that is attached to it.
func (c *channel) receiveFD() (fd int, err error) {
	var b [1]byte
	control := make([]byte, unix.CmsgSpace(4))
	n, cn, _, _, err := unix.Recvmsg(c.fd, b[:], control, unix.MSG_CMSG_CLOEXEC)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR:
		return -1, errTick
	case err != nil || n != 1:
		return -1, fmt.Errorf("receive a descriptor: %d bytes, %w", n, err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("receive a descriptor: %d control messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("receive a descriptor: %d descriptors, %w", len(fds), err)
	}
	return fds[0], nil
}

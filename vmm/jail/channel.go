package jail

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
)

// tick is the longest that the host waits for a child without a look at its time.
const tick = 10 * time.Millisecond

var (
	errTick   = errors.New("nothing within a tick")
	errClosed = errors.New("the channel is closed")
)

// channel is the host's end of a child's stream. What comes is copied into memory of the host, as
// much of it as there is, and taken apart there.
type channel struct {
	fd   int
	buf  []byte // memory for what comes: a message must fit
	in   []byte // the part of buf that came and was not returned yet
	out  []byte // what is to be sent
	sent int    // bytes of out that were
}

// bufLen holds the longest message of a child.
const bufLen = abi.HeaderLen + abi.MaxMessage

// newPair makes a stream. The host's end blocks for a tick at most.
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

// receive returns the next message, once it is there as a whole. Its payload is valid until the next
// receive. The error is errTick if it is not there after a tick, even if a part of it came, or
// errClosed; or the header is not that of any message a child may send.
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

// more copies what has come to the end of c.in.
func (c *channel) more() error {
	// What is left moves to the front, over what was returned.
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

// put adds a message to what is to be sent.
func (c *channel) put(kind, n uint32, payload []byte) {
	c.out = append(c.out, make([]byte, abi.HeaderLen)...)
	abi.Header{Kind: kind, N: n, Length: uint32(len(payload))}.Encode(c.out[len(c.out)-abi.HeaderLen:])
	c.out = append(c.out, payload...)
}

// maxSend is how many bytes are sent by one call. The kernel waits a tick for each 32 KiB.
const maxSend = 32 << 10

// flush sends what was put. The error is errTick if not all could be sent within a tick, or
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

// receiveFD receives one byte and the descriptor that comes with it.
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

package jail

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
)

// testChannel is a channel and the child's end of its stream.
func testChannel(t *testing.T) (c *channel, child int) {
	t.Helper()
	host, child, err := newPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(host) })
	return &channel{fd: host, buf: make([]byte, bufLen)}, child
}

// TestMessages: messages arrive one by one, however they are cut into pieces.
func TestMessages(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), abi.MaxMessage/16)
	stream := bytes.Join([][]byte{
		message(1, 2, []byte("three")), message(4, 5),
		message(6, 7, long), message(8, 9, []byte("x")),
	}, nil)
	for _, piece := range []int{1, 11, 12, 13, 4096, len(stream)} {
		sent, want := stream, stream
		if piece < 4096 {
			sent, want = stream[:200], stream[:29] // the third message is cut off
		}
		c, child := testChannel(t)
		go func() {
			defer unix.Close(child)
			for b := sent; len(b) > 0; {
				n, err := unix.Write(child, b[:min(piece, len(b))])
				if err != nil {
					return
				}
				b = b[n:]
			}
		}()
		var got []byte
		for {
			h, payload, err := c.receive()
			if err == errTick {
				continue
			}
			if err != nil {
				if err != errClosed {
					t.Errorf("pieces of %d: %v", piece, err)
				}
				break
			}
			got = append(got, message(h.Kind, h.N, payload)...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("pieces of %d: %d bytes arrived of %d", piece, len(got), len(want))
		}
	}
}

func TestMessageTooLong(t *testing.T) {
	c, child := testChannel(t)
	defer unix.Close(child)
	b := make([]byte, abi.HeaderLen)
	for _, n := range []uint32{abi.MaxMessage + 1, 1 << 31, 1<<32 - 1} {
		abi.Header{Length: n}.Encode(b)
		if _, err := unix.Write(child, b); err != nil {
			t.Fatal(err)
		}
		c.in = nil
		_, _, err := c.receive()
		if err == nil || errors.Is(err, errTick) || errors.Is(err, errClosed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestDrip: a child that sends and receives byte by byte does not keep the host from looking at its
// time in between.
func TestDrip(t *testing.T) {
	c, child := testChannel(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, b := range message(abi.MsgRecords, 0, make([]byte, abi.MaxMessage)) {
			if _, err := unix.Write(child, []byte{b}); err != nil {
				return
			}
		}
	}()
	for len(c.in) < abi.HeaderLen {
		if _, _, err := c.receive(); err != errTick {
			t.Fatalf("receive: %v", err)
		}
	}
	unix.Shutdown(c.fd, unix.SHUT_RD)
	<-done
	unix.Close(child)

	c, child = testChannel(t)
	go func() {
		defer unix.Close(child)
		for b := make([]byte, 1); ; {
			if n, err := unix.Read(child, b); n <= 0 && err != unix.EINTR {
				return
			}
		}
	}()
	c.put(abi.MsgData, 1, make([]byte, abi.MaxData))
	if err := c.flush(); err != errTick {
		t.Errorf("flush: %v", err)
	}
	if c.sent == 0 || c.sent == len(c.out) {
		t.Errorf("%d of %d bytes were sent", c.sent, len(c.out))
	}
	unix.Shutdown(c.fd, unix.SHUT_RDWR)
}

// TestFlush: all that was put arrives, whatever the pace.
func TestFlush(t *testing.T) {
	c, child := testChannel(t)
	short, long := []byte("first"), bytes.Repeat([]byte{5}, 3*maxSend)
	c.put(1, 2, short)
	c.put(3, 4, long)
	want := append(message(1, 2, short), message(3, 4, long)...)
	done := make(chan []byte)
	go func() {
		got := make([]byte, len(want))
		for n := 0; n < len(got); {
			m, err := unix.Read(child, got[n:min(len(got), n+1000)])
			if err != nil || m == 0 {
				break
			}
			n += m
		}
		done <- got
	}()
	for c.flush() == errTick {
	}
	if !bytes.Equal(<-done, want) || len(c.out) != 0 {
		t.Error("what arrived is not what was put")
	}
	unix.Close(child)
	c.put(1, 2, nil)
	if err := c.flush(); err != errClosed {
		t.Errorf("after the end: %v", err)
	}
	if _, _, err := c.receive(); err != errClosed {
		t.Errorf("after the end: %v", err)
	}
}

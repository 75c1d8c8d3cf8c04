// Package gate makes system calls on files: with the rights of a user (user.go), and without
// waiting for ever for a file system that does not answer (gate.go). It knows no path, no policy
// and no image. What a call asks is the caller's business.
package gate

import (
	"context"
	"sync"
	"syscall"
	"time"
)

const (
	// DefaultCallTime is how long one call may take before its caller gives up: longer than a disk
	// takes to spin up, or NFS to retransmit.
	DefaultCallTime = 30 * time.Second
	// maxCalls is how many calls on one device may be under way at a time. Each may hold a thread
	// that the kernel does not release, and Go ends a program that has ten thousand of them.
	maxCalls = 32
)

// ErrHangs says that a file system does not answer.
var ErrHangs error = hangs{}

type hangs struct{}

func (hangs) Error() string {
	return "the file system that it lies on does not answer " +
		"(is its server away? --call-time waits longer)"
}

// Errno implements the interface by which package fusefs asks for an error number.
func (hangs) Errno() syscall.Errno { return syscall.ETIMEDOUT }

// Gate lets calls on files through. A call whose caller has given up goes on until the kernel
// returns from it; the gate bounds how many such calls there are on each device, so that a device
// that hangs takes nothing from others. It is safe for concurrent use.
type Gate struct {
	callTime time.Duration
	local    localDevices

	mu      sync.Mutex // guards devices and all that they hold
	devices map[uint64]*device
}

// device is a file system with calls under way.
type device struct {
	free  chan struct{} // one token for each further call
	users int           // calls under way or waiting for a token
	late  int           // calls whose callers gave up because of callTime
}

// NewGate makes a gate whose calls may take callTime each.
func New(callTime time.Duration) *Gate {
	return &Gate{callTime: callTime, devices: map[uint64]*device{}}
}

// On says what a call is about.
type On struct {
	Device  uint64 // st_dev of the file system that the call asks
	User    *User  // whose rights the call has; nil is the process itself
	Release func() // called once the call has returned, or is not made at all; may be nil
}

// Do calls f, which may make any system calls on files of a device: in place if the device holds a
// local file system, otherwise on a goroutine of its own. It returns what f returns. If ctx ends
// first it returns the cause, and after the time that a call may take it returns ErrHangs; what f
// returns later is passed to drop, which may be nil. So f must not write to anything that its
// caller still uses, and the descriptors that f uses must stay open until On.Release.
func Do[T any](
	ctx context.Context, g *Gate, on On, drop func(T), f func() (T, error),
) (T, error) {
	var none T
	release := on.Release
	if release == nil {
		release = func() {}
	}
	if ctx.Err() != nil {
		release()
		return none, context.Cause(ctx)
	}
	if g.local.has(on.Device) {
		defer release()
		return as(on.User, f)
	}
	timer := time.NewTimer(g.callTime)
	defer timer.Stop()
	d, err := g.enter(ctx, on.Device, timer.C)
	if err != nil {
		release()
		return none, err
	}
	c := &call[T]{done: make(chan struct{}), drop: drop}
	go func() {
		value, err := as(on.User, f)
		release()
		g.leave(on.Device, d, &c.late)
		c.finish(value, err)
	}()
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		g.noteLate(d, &c.late)
		err = ErrHangs
	}
	if c.abandon() {
		return none, err
	}
	return c.value, c.err
}

// call is one call and what came of it.
type call[T any] struct {
	done chan struct{} // closed when value and err are set
	drop func(T)
	late lateness

	mu        sync.Mutex // guards abandoned, and the closing of done
	abandoned bool

	value T
	err   error
}

func (c *call[T]) finish(value T, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.abandoned {
		c.value, c.err = value, err
		close(c.done)
	} else if err == nil && c.drop != nil {
		c.drop(value)
	}
}

// abandon reports whether the call had not ended yet; what it still returns is dropped then.
func (c *call[T]) abandon() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
		return false
	default:
		c.abandoned = true
		return true
	}
}

// lateness is whether a call counts in device.late; guarded by Gate.mu.
type lateness uint8

const (
	inTime lateness = iota
	late
	over // it has left, and can be late no more
)

// enter takes a token of a device. Where every call is late there is none to wait for.
func (g *Gate) enter(ctx context.Context, dev uint64, over <-chan time.Time) (*device, error) {
	g.mu.Lock()
	d := g.devices[dev]
	if d == nil {
		d = &device{free: make(chan struct{}, maxCalls)}
		for range maxCalls {
			d.free <- struct{}{}
		}
		g.devices[dev] = d
	}
	if d.late == maxCalls {
		g.mu.Unlock()
		return nil, ErrHangs
	}
	d.users++
	g.mu.Unlock()
	select {
	case <-d.free:
		return d, nil
	default:
	}
	var err error
	select {
	case <-d.free:
		return d, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-over:
		err = ErrHangs
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(dev, d)
	return nil, err
}

// leave gives the token of a call back.
func (g *Gate) leave(dev uint64, d *device, l *lateness) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if *l == late {
		d.late--
	}
	*l = over
	d.free <- struct{}{}
	g.forget(dev, d)
}

// forget drops a device that nobody uses. Precondition: g.mu is held.
func (g *Gate) forget(dev uint64, d *device) {
	if d.users--; d.users == 0 {
		delete(g.devices, dev)
	}
}

func (g *Gate) noteLate(d *device, l *lateness) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if *l == inTime {
		*l = late
		d.late++
	}
}

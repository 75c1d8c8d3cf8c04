package vmm

import (
	"context"
	"errors"
	"strings"
	"testing"

	"instarfs/guest/img"
	"instarfs/vmm/bug"
	"instarfs/vmm/session"
)

// buggy is an image whose methods panic, in one of the places where this program may have a bug.
type buggy struct{ peek, read bool }

func (b buggy) Peek(p []byte, _ int64) bool {
	if b.peek {
		panic("injected into Peek")
	}
	return false
}

func (b buggy) ReadAt(_ context.Context, p []byte, _ int64) (int, error) {
	if b.read {
		var none []byte
		_ = none[len(p)]
	}
	return len(p), nil
}

// isBug reports whether err is a *bug.Error of one line that says text, where it happened included.
func isBug(err error, text string) bool {
	var ours *bug.Error
	return errors.As(err, &ours) && strings.Contains(err.Error(), text) &&
		!strings.Contains(err.Error(), "\n")
}

// TestPanicEndsItsRunOnly: a bug that strikes on a machine's own thread is the error of that run,
// and the pool goes on, with its turns and with machines that are as they should be.
func TestPanicEndsItsRunOnly(t *testing.T) {
	p := tinyPool(t, good(func(a *asm) {
		queueUp(a, table(desc(dma, 16, 1, 1), desc(dma+4096, 512, 3, 2), desc(dma+32, 1, 2, 0)),
			available(1, 0))
	}))
	for range 2 * p.opts.Idle {
		_, err := p.Run(t.Context(),
			&session.Job{Window: img.Whole, Image: buggy{peek: true}, Size: 1 << 20})
		if !isBug(err, "injected into Peek (panic_test.go:") {
			t.Errorf("panic in Peek: %v", err)
		}
		_, err = p.Run(t.Context(),
			&session.Job{Window: img.Whole, Image: buggy{read: true}, Size: 1 << 20})
		if !isBug(err, "index out of range [512] with length 0 (panic_test.go:") {
			t.Errorf("panic in ReadAt: %v", err)
		}
		if l, err := p.Run(t.Context(), testJob()); err != nil || l.VirtualSize != 4096 {
			t.Errorf("the run after a panic: %v", err)
		}
	}
	for range p.opts.Idle { // each is given back, when the machine is reset or gone
		ticket, err := p.host.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer ticket.Leave()
	}
}

// TestPanicInDo: so is whatever else runs on a machine's thread.
func TestPanicInDo(t *testing.T) {
	p := tinyPool(t, good(func(*asm) {}))
	m, err := p.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.destroy()
	if err := m.do(func() error { panic("injected") }); !isBug(err, "injected") {
		t.Error(err)
	}
	if err := m.do(func() error { return nil }); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

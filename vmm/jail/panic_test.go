package jail

import (
	"context"
	"errors"
	"strings"
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/img"
	"instarfs/vmm/bug"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
	"instarfs/vmm/turns"
)

// buggy is an image one of whose methods panics, where this program may have a bug.
type buggy struct {
	ram
	peek bool
}

func (b buggy) Peek(p []byte, off int64) bool {
	if b.peek {
		panic("injected into Peek")
	}
	return off == 0 && b.ram.Peek(p, off)
}

func (buggy) ReadAt(context.Context, []byte, int64) (int, error) { panic("injected into ReadAt") }

// TestPanicEndsItsRunOnly: a bug that strikes while the image is read for a child is the error of
// that run, with its place, and the pool goes on, with all its turns.
func TestPanicEndsItsRunOnly(t *testing.T) {
	before, books := inUse(t), ledger.New(1<<30)
	p := newPool(t, session.Options{Memory: books, Turns: turns.New(1)})
	reads := does{}.send(abi.MsgRead, 1, request(1024, 512))
	for _, peek := range []bool{true, false} {
		image := buggy{make(ram, 1<<20), peek}
		copy(image.ram, reads)
		_, err := p.Run(t.Context(), &session.Job{Window: img.Whole, Image: image, Size: 1 << 20})
		var ours *bug.Error
		if !errors.As(err, &ours) || !strings.Contains(err.Error(), "injected into ") ||
			!strings.Contains(ours.Where, "panic_test.go:") || strings.Contains(err.Error(), "\n") {
			t.Errorf("Peek %v: %v", peek, err)
		}
		mustMap(t, p)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	settled(t, before, books)
}

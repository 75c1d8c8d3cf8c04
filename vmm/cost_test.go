package vmm

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
	"time"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/needs"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
)

// ringful is a guest that fills the ring again and again with extents that do not merge, and has no
// end.
func ringful() *asm {
	return good(func(a *asm) {
		es := make([]extent.Extent, 512)
		for i := range es {
			es[i] = extent.Extent{Start: uint64(i), Length: 1}
			if i%2 == 0 {
				es[i].Flags = extent.Present | extent.Zero
			}
		}
		a.records(es...).bell(abi.BellRing)
	})
}

// used waits until a ledger has no more than want, as machines end beside their runs and maps when
// they are collected.
func used(t *testing.T, l *ledger.Ledger, want int64) {
	t.Helper()
	for end := time.Now().Add(giveUp); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if l.Used() <= want {
			return
		}
		runtime.GC()
	}
	t.Errorf("%d bytes are used, want at most %d", l.Used(), want)
}

// TestMemoryOfRuns: a machine and a layer are accounted for. A layer for which there is no room
// fails alone, and what was booked for it comes back; so does what a layer had that nobody has any
// more.
func TestMemoryOfRuns(t *testing.T) {
	needs.KVM(t)
	const room = machineCost + session.LayerCost + 4096
	for _, test := range []struct {
		name string
		a    *asm
		want error
	}{
		{"small", good(func(*asm) {}), nil},
		{"too large", ringful(), ledger.ErrFull},
	} {
		books := ledger.New(room)
		p, err := NewPool(Options{Program: bytes.NewReader(test.a.elf()), Idle: 1,
			Host: session.NewHost(session.Options{Memory: books})})
		if err != nil {
			t.Fatal(err)
		}
		l, err := p.Run(t.Context(), testJob())
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if err == nil && books.Used() < machineCost+int64(l.Map.Bytes()) {
			t.Errorf("%s: %d bytes are accounted for", test.name, books.Used())
		}
		runtime.KeepAlive(l)
		l = nil
		used(t, books, machineCost)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		used(t, books, 0)
	}
}

// TestNoRoomForAMachine: where a machine does not fit nothing is made, and that is told.
func TestNoRoomForAMachine(t *testing.T) {
	needs.KVM(t)
	before := inUse(t)
	program := bytes.NewReader(good(func(*asm) {}).elf())
	p, err := NewPool(Options{Program: program,
		Host: session.NewHost(session.Options{Memory: ledger.New(machineCost - 1)})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), testJob()); !errors.Is(err, ledger.ErrFull) {
		t.Error(err)
	}
	p.Close()
	grew(t, before)
}

// TestMeasure: guest memory that was touched is accounted for, whoever touched it.
func TestMeasure(t *testing.T) {
	p := agentPool(t, 1)
	m, err := p.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.destroy()
	for i := 0; i < len(m.mem.Bytes); i += space.PageLen {
		m.mem.Bytes[i] = 1
	}
	err = m.measure()
	if n := m.lease.Bytes(); err != nil || n < abi.RAMLen || n > 2*abi.RAMLen {
		t.Error(err, n)
	}
}

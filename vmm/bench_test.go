package vmm

import (
	"context"
	"testing"

	"instarfs/guest/img"
	"instarfs/guest/payload"
	"instarfs/needs"
	"instarfs/vmm/session"
)

func newTestPool(tb testing.TB) *Pool {
	tb.Helper()
	needs.KVM(tb)
	program, err := payload.Agent()
	if err != nil {
		tb.Fatal(err)
	}
	p, err := NewPool(Options{Program: program})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	if err := p.Warm(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return p
}

// BenchmarkRun is one whole run of a tiny image on a warm machine, reset included.
func BenchmarkRun(b *testing.B) {
	p := newTestPool(b)
	job := session.Job{Window: img.Whole, Image: ram(make([]byte, 65536)), Size: 65536}
	for b.Loop() {
		if _, err := p.Run(b.Context(), &job); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReset is the way back to the snapshot after a run of a tiny image, without the run.
func BenchmarkReset(b *testing.B) {
	p := newTestPool(b)
	m, err := p.take(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer m.destroy()
	job := session.Job{Window: img.Whole, Image: ram(make([]byte, 65536)), Size: 65536}
	for b.Loop() {
		b.StopTimer()
		if err := m.do(func() error {
			if _, err := p.runOn(b.Context(), m, &job); err != nil {
				return err
			}
			b.StartTimer()
			err := m.reset(p.snap)
			b.StopTimer()
			return err
		}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkClone is a new machine from the snapshot.
func BenchmarkClone(b *testing.B) {
	p := newTestPool(b)
	for b.Loop() {
		m, err := p.clone(p.snap)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		m.destroy()
		b.StartTimer()
	}
}

// BenchmarkBoot is a new machine from the program, as the first run of a process needs it.
func BenchmarkBoot(b *testing.B) {
	p := newTestPool(b)
	for b.Loop() {
		m, _, err := p.newMachine(func() *snapshot { return nil })
		if err == nil {
			_, err = m.firstBoot(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		m.destroy()
		b.StartTimer()
	}
}

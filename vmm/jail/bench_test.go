package jail

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/img"
	"instarfs/vmm/session"
)

// sparse is an image in memory without the zeroes at its end. It can be written to.
type sparse struct{ ram }

func (s *sparse) WriteAt(b []byte, off int64) (int, error) {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return len(b), nil
	}
	if end := int(off) + len(b); end > len(s.ram) {
		s.ram = append(s.ram, make([]byte, end-len(s.ram))...)
	}
	return copy(s.ram[off:], b), nil
}

func (s *sparse) Peek(p []byte, off int64) bool {
	clear(p[copy(p, s.ram[min(off, int64(len(s.ram))):]):])
	return true
}

// alternating is a qcow2 image whose map has n extents: every other cluster of 64 KiB is allocated.
func alternating(t testing.TB, n uint64) *session.Job {
	t.Helper()
	q := qcow2test.New(n<<16, 16)
	q.NoRefcounts = true
	for i := uint64(0); i < n; i += q.TableEntries() {
		q.Entry(i)
	}
	for i := uint64(0); i < n; i += 2 {
		*q.Entry(i) = q.Alloc(1) | qcow2test.EntryCopied
	}
	var image sparse
	size, err := q.Write(&image)
	if err != nil {
		t.Fatal(err)
	}
	return &session.Job{Window: img.Whole, Image: &image, Size: uint64(size), Allocated: 1 << 40}
}

// TestLargeMap: records that fill the ring many times arrive in order.
func TestLargeMap(t *testing.T) {
	const n = 1 << 17
	p := agentPool(t, session.Options{Budget: session.DefaultBudget})
	l, err := p.Run(t.Context(), alternating(t, n))
	if err != nil || l.Map.Len() != n || l.VirtualSize != n<<16 {
		t.Fatalf("%+v, %v", l, err)
	}
	for i := range n {
		if e := l.Map.At(i); e.Start != uint64(i)<<16 || e.Length != 1<<16 {
			t.Fatalf("extent %d is %+v", i, e)
		}
	}
}

// BenchmarkSpawn is a child from the program to where it waits for its job.
func BenchmarkSpawn(b *testing.B) {
	for _, l := range levelsHere() {
		b.Run(l.String(), func(b *testing.B) {
			p := agentPool(b, session.Options{})
			p.force(l, true)
			for b.Loop() {
				c, err := p.spawn()
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				c.close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkRun is one whole run of a tiny image, and the start of the child for the next.
func BenchmarkRun(b *testing.B) {
	benchmark(b, &session.Job{Window: img.Whole, Image: make(ram, 65536), Size: 65536})
}

// BenchmarkMillionExtents is a run with 1,048,576 extents, 32 MiB of records.
func BenchmarkMillionExtents(b *testing.B) { benchmark(b, alternating(b, 1<<20)) }

func benchmark(b *testing.B, job *session.Job) {
	p := agentPool(b, session.Options{Budget: session.DefaultBudget})
	if err := p.Warm(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := p.Run(b.Context(), job); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStop is what a child takes whose run gives way, and goes on.
func BenchmarkStop(b *testing.B) {
	p := agentPool(b, session.Options{})
	c, err := p.spawn()
	if err != nil {
		b.Fatal(err)
	}
	defer c.close()
	for b.Loop() {
		c.stop()
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, c.pid, &info, unix.WSTOPPED, nil); err != nil {
			b.Fatal(err)
		}
		c.proceed()
	}
}

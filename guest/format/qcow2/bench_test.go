package qcow2_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"instarfs/guest/block"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/qcow2"
	"instarfs/guest/format/qcow2/qcow2test"
)

// flat is a device in memory that only copies.
type flat struct {
	b    []byte
	size uint64
	mem  []byte
}

func (d *flat) Size() uint64 { return d.size }

func (d *flat) Read(reqs []block.Request) *fault.Fault {
	for _, r := range reqs {
		n := 0
		if r.Off < uint64(len(d.b)) {
			n = copy(r.Buf, d.b[r.Off:])
		}
		clear(r.Buf[n:])
	}
	return nil
}

func (d *flat) Buffer(n int) []byte {
	b := d.mem[:n]
	d.mem = d.mem[n:]
	return b
}

// count is the smallest sink.
type count struct{ extents, bytes uint64 }

func (c *count) Emit(length uint64, _ extent.Flags, _ uint64, _ uint16) {
	c.extents++
	c.bytes += length
}
func (c *count) Bad(length uint64, _ *fault.Fault) { c.extents++; c.bytes += length }
func (c *count) Warn(*fault.Fault)                 {}

// benchmark opens and walks an image again and again.
func benchmark(b *testing.B, q *qcow2test.Image) {
	var file prefix
	size, err := q.Write(&file)
	if err != nil {
		b.Fatal(err)
	}
	mem := make([]byte, 4<<20)
	b.ReportAllocs()
	var c count
	for b.Loop() {
		c = count{}
		d := &flat{file, uint64(size), mem}
		m, f := qcow2.Driver.Open(&format.Params{Dev: d, Allocated: 1 << 40})
		if f != nil {
			b.Fatal(f)
		}
		if f := m.Walk(0, m.Size(), &c); f != nil {
			b.Fatal(f)
		}
		if c.bytes != m.Size() {
			b.Fatalf("%d bytes of %d", c.bytes, m.Size())
		}
	}
	b.ReportMetric(float64(c.extents), "extents")
}

// prefix is a file in memory without the zeroes at its end, which may be many.
type prefix []byte

func (p *prefix) WriteAt(b []byte, off int64) (int, error) {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return len(b), nil
	}
	if end := int(off) + len(b); end > len(*p) {
		*p = append(*p, make([]byte, end-len(*p))...)
	}
	return copy((*p)[off:], b), nil
}

var _ io.WriterAt = (*prefix)(nil)

// BenchmarkAlternating walks 1,048,576 extents: 64 KiB clusters, every other one allocated.
func BenchmarkAlternating(b *testing.B) {
	const n = 1 << 20
	q := qcow2test.New(n<<16, 16)
	q.NoRefcounts = true
	for i := uint64(0); i < n; i += q.TableEntries() {
		q.Entry(i)
	}
	for i := uint64(0); i < n; i += 2 {
		*q.Entry(i) = q.Alloc(1)
	}
	benchmark(b, q)
}

// BenchmarkContiguous walks as many entries, which make one extent.
func BenchmarkContiguous(b *testing.B) {
	const n = 1 << 20
	q := qcow2test.New(n<<16, 16)
	q.NoRefcounts = true
	q.Sparse(0, n)
	benchmark(b, q)
}

// BenchmarkSubclusters walks 1,048,576 extents of 32,768 clusters with extended L2 entries.
func BenchmarkSubclusters(b *testing.B) {
	const n = 1 << 15
	q := qcow2test.New(n<<16, 16)
	q.NoRefcounts = true
	q.ExtendedL2 = true
	for i := range uint64(n) {
		*q.Entry(i) = 1 << 20
		*q.Bitmap(i) = 0x55555555
	}
	benchmark(b, q)
}

// BenchmarkEmpty walks only zero L1 entries.
func BenchmarkEmpty(b *testing.B) {
	for _, tib := range []uint64{8, 64} {
		b.Run(fmt.Sprintf("%dTiB", tib), func(b *testing.B) {
			q := qcow2test.New(tib<<40, 16)
			q.NoRefcounts = true
			benchmark(b, q)
		})
	}
}

package render

import (
	"io"
	"testing"

	"instarfs/guest/extent"
)

// benchmarkRows is the map of a qcow2 of 64 KiB clusters, every other one allocated.
const benchmarkRows = 1 << 20

func alternating(tb testing.TB, n int) *extent.Map {
	b := extent.NewBuilder(0, uint64(n)<<16, 0)
	for i := range uint64(n) {
		e := extent.Extent{Start: i << 16, Length: 1 << 16, State: extent.State{Flags: hole}}
		if i&1 == 0 {
			e.Flags, e.Offset = data, i<<15+327680
		}
		if err := b.Add(e); err != nil {
			tb.Fatal(err)
		}
	}
	m, err := b.Finish([]string{"disk.qcow2"})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func perRow(b *testing.B, rows int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/row")
}

// BenchmarkIndex is the size pass, made once for a map.
func BenchmarkIndex(b *testing.B) {
	for name, v := range map[string]View{"json": JSON, "text": Text} {
		b.Run(name, func(b *testing.B) {
			m := alternating(b, benchmarkRows)
			f := formOf(0, v, false)
			for b.Loop() {
				build(m, f)
			}
			perRow(b, benchmarkRows)
		})
	}
}

// BenchmarkReadAt reads a whole rendering in the pieces that a kernel asks for.
func BenchmarkReadAt(b *testing.B) {
	for name, v := range map[string]View{"json": JSON, "text": Text} {
		b.Run(name, func(b *testing.B) {
			r, err := New(alternating(b, benchmarkRows), v, 0)
			if err != nil {
				b.Fatal(err)
			}
			p := make([]byte, 128<<10)
			b.SetBytes(r.Size())
			for b.Loop() {
				for off := int64(0); off < r.Size(); off += int64(len(p)) {
					if _, err := r.ReadAt(p, off); err != nil && err != io.EOF {
						b.Fatal(err)
					}
				}
			}
			rows := benchmarkRows
			if v == Text {
				rows /= 2
			}
			perRow(b, rows)
		})
	}
}

// BenchmarkSeek reads 4 KiB at places that do not follow each other.
func BenchmarkSeek(b *testing.B) {
	r, err := New(alternating(b, benchmarkRows), JSON, 0)
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 4096)
	off := int64(0)
	for b.Loop() {
		if _, err := r.ReadAt(p, off); err != nil && err != io.EOF {
			b.Fatal(err)
		}
		off = (off + 50_000_017) % r.Size()
	}
}

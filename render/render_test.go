package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"instarfs/guest/extent"
	"instarfs/guest/img"
)

const (
	hole  = extent.Zero
	zero  = extent.Present | extent.Zero
	data  = extent.Present | extent.Data | extent.Offset
	prez  = data | extent.Zero
	comp  = extent.Present | extent.Data | extent.Compressed
	crypt = extent.Present | extent.Data | extent.Encrypted
	rawz  = zero | extent.Offset
)

// run is one extent of a test map: length, flags, and where it has them offset, depth and file.
type run struct {
	length uint64
	flags  extent.Flags
	offset uint64
	depth  uint16
	file   uint16
}

func mapOf(tb testing.TB, start uint64, files []string, runs ...run) *extent.Map {
	tb.Helper()
	end := start
	for _, r := range runs {
		end += r.length
	}
	b := extent.NewBuilder(start, end, 0)
	for _, r := range runs {
		e := extent.Extent{Start: b.Next(), Length: r.length, Offset: r.offset,
			State: extent.State{Flags: r.flags, Depth: r.depth, File: r.file}}
		if err := b.Add(e); err != nil {
			tb.Fatalf("extent %+v: %v", e, err)
		}
	}
	m, err := b.Finish(files)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// model renders with fmt, row by row, in the words of the specification.
func model(m *extent.Map, v View, p img.Release, cut bool) (string, error) {
	var b strings.Builder
	if v == Text {
		fmt.Fprintf(&b, "%-16s%-16s%-16sFile\n", "Offset", "Length", "Mapped to")
		hex := func(n uint64) string {
			if n == 0 {
				return "0"
			}
			return fmt.Sprintf("%#x", n)
		}
		for i := range m.Len() {
			e := m.At(i)
			if !e.Flags.Has(extent.Data) || e.Flags.Has(extent.Zero) {
				continue
			}
			at, name := hex(e.Offset), ""
			switch {
			case e.Flags.Has(extent.Offset):
				name = m.Files()[e.File]
			case p.IsQemu():
				return b.String(), ErrNotPlain
			default:
				name = m.Files()[e.Depth]
				at = "unknown"
				if e.Flags.Has(extent.Compressed) {
					at = "compressed"
				} else if e.Flags.Has(extent.Encrypted) {
					at = "encrypted"
				}
			}
			fmt.Fprintf(&b, "%-16s%-16s%-16s%s\n", hex(e.Start), hex(e.Length), at, name)
		}
		return b.String(), nil
	}
	b.WriteString("[")
	entry := func(e extent.Extent) {
		fmt.Fprintf(&b, `{ "start": %d, "length": %d, "depth": %d`, e.Start, e.Length, e.Depth)
		if p.HasPresent() {
			fmt.Fprintf(&b, `, "present": %t`, e.Flags.Has(extent.Present))
		}
		fmt.Fprintf(&b, `, "zero": %t, "data": %t`, e.Flags.Has(extent.Zero),
			e.Flags.Has(extent.Data))
		if p.HasCompressed() {
			fmt.Fprintf(&b, `, "compressed": %t`, e.Flags.Has(extent.Compressed))
		}
		if e.Flags.Has(extent.Offset) {
			fmt.Fprintf(&b, `, "offset": %d`, e.Offset)
		}
		b.WriteString("}")
	}
	for i := range m.Len() {
		if i > 0 {
			b.WriteString(",\n")
		}
		entry(m.At(i))
	}
	if cut {
		if m.Len() > 0 {
			b.WriteString(",\n")
		}
		return b.String(), nil
	}
	if m.Len() == 0 {
		entry(extent.Extent{Start: m.Start()})
	}
	b.WriteString("]\n")
	return b.String(), nil
}

var profiles = []img.Release{0, img.NewRelease(5, 1), img.NewRelease(6, 0), img.NewRelease(6, 1),
	img.NewRelease(7, 2), img.NewRelease(8, 1), img.NewRelease(8, 2), img.NewRelease(11, 1)}

// checkMap compares every rendering of m with the model.
func checkMap(t *testing.T, m *extent.Map, check func(t *testing.T, r *Rendering, want string)) {
	t.Helper()
	checked := map[*Rendering]bool{}
	for _, p := range profiles {
		for _, v := range []View{JSON, Text} {
			for _, cut := range []bool{false, true} {
				make := New
				if cut {
					make = NewCut
				}
				want, wantErr := model(m, v, p, cut)
				r, err := make(m, v, p)
				if !errors.Is(err, wantErr) || r == nil {
					t.Fatalf("%+v view %d cut %t: error %v, want %v", p, v, cut, err, wantErr)
				}
				if r.Size() != int64(len(want)) {
					t.Fatalf("%+v view %d cut %t: size %d, want %d", p, v, cut, r.Size(), len(want))
				}
				if !checked[r] {
					check(t, r, want)
				}
				checked[r] = true
			}
		}
	}
}

// whole checks that r is want when written and when read in pieces, at the borders of a file too.
func whole(t *testing.T, r *Rendering, want string) {
	t.Helper()
	var b bytes.Buffer
	if n, err := r.WriteTo(&b); err != nil || n != int64(len(want)) {
		t.Fatalf("WriteTo: %d of %d bytes, %v", n, len(want), err)
	}
	for i, got := range b.Bytes() {
		if got != want[i] {
			t.Fatalf("WriteTo differs at %d: %.80q, want %.80q", i, b.String()[i:], want[i:])
		}
	}
	if len(want) > 10*rowRoom {
		return // the test below reads byte by byte
	}
	if err := iotest.TestReader(io.NewSectionReader(r, 0, r.Size()), []byte(want)); err != nil {
		t.Fatal(err)
	}
}

func everyPiece(t *testing.T, r *Rendering, want string) {
	t.Helper()
	buf := make([]byte, len(want)+3)
	for off := 0; off <= len(want)+1; off++ {
		for n := 0; n <= len(buf)-off; n++ {
			p := buf[:n]
			got, err := r.ReadAt(p, int64(off))
			from := min(off, len(want))
			to := min(off+n, len(want))
			if got != to-from || string(p[:got]) != want[from:to] {
				t.Fatalf("ReadAt(%d bytes, %d) = %d bytes %q, want %q", n, off, got, p[:got],
					want[from:to])
			}
			if atEnd := got < n || off >= len(want); atEnd != (err == io.EOF) ||
				!atEnd && err != nil {
				t.Fatalf("ReadAt(%d bytes, %d): error %v", n, off, err)
			}
		}
	}
}

var longName = "a\nb\xff\"" + strings.Repeat("x", 30)

func mixed(tb testing.TB) *extent.Map {
	return mapOf(tb, 0, []string{"a.qcow2", "d/b", longName},
		run{length: 65536, flags: data, offset: 327680}, run{length: 9, flags: hole, depth: 1},
		run{length: 1 << 40, flags: data, offset: 0, depth: 1, file: 2},
		run{length: 7, flags: comp, depth: 1},
		run{length: 3, flags: crypt}, run{length: 1, flags: prez, offset: 5},
		run{length: 512, flags: zero},
		run{length: 1 << 62, flags: data, offset: 1 << 61, file: 1},
		run{length: 10, flags: rawz, offset: 99})
}

func TestEveryOffsetAndLength(t *testing.T) { checkMap(t, mixed(t), everyPiece) }

func TestEmpty(t *testing.T) {
	for _, start := range []uint64{0, 5242880, math.MaxInt64} {
		m := mapOf(t, start, []string{"a"})
		checkMap(t, m, everyPiece)
		checkMap(t, m, whole)
	}
}

func TestLargestNumbers(t *testing.T) {
	checkMap(t, mapOf(t, 0, []string{"a"}, run{length: math.MaxInt64, flags: data}), everyPiece)
	checkMap(t, mapOf(t, math.MaxInt64-1, []string{"a"},
		run{length: 1, flags: data, offset: math.MaxInt64 - 1}), everyPiece)
	checkMap(t, mapOf(t, math.MaxUint64-1, []string{"a"}, run{length: 1, flags: hole}), whole)
	files := make([]string, math.MaxUint16+1)
	checkMap(t, mapOf(t, 0, files, run{length: 1, flags: comp, depth: math.MaxUint16}), whole)
}

// TestDecimals walks the borders of every length and of every branch.
func TestDecimals(t *testing.T) {
	var w width
	check := func(v uint64) {
		t.Helper()
		var b [digitsRoom]byte
		want := fmt.Sprint(v)
		if n := w.put(&b, v); string(b[:n]) != want || decimalLen(v) != len(want) {
			t.Fatalf("%d: %q, length %d", v, b[:n], decimalLen(v))
		}
	}
	for v := uint64(0); v < 200_000; v++ {
		check(v)
		check(v * 9_999)
	}
	for _, p := range powers {
		check(p - 1)
		check(p)
		check(p + 1)
	}
	for i := range 64 {
		check(1<<i - 1)
		check(1 << i)
	}
	check(math.MaxUint64)
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		check(r.Uint64() >> r.UintN(64))
	}
}

func TestRenderingIsSharedAndKept(t *testing.T) {
	m := mixed(t)
	a, _ := New(m, JSON, img.NewRelease(8, 2))
	b, _ := New(m, JSON, 0)
	c, _ := New(m, JSON, img.NewRelease(7, 2))
	if a != b || b == c {
		t.Fatal("profiles that print the same fields share one rendering, others do not")
	}
}

// TestManyBlocks reads maps of more than one index block, with stretches that have no row of the
// table.
func TestManyBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, rows := range []int{1, 2, 10, 3000} {
		m := sparse(t, 5000, 5000/rows)
		checkMap(t, m, func(t *testing.T, got *Rendering, want string) {
			whole(t, got, want)
			for range 200 {
				off := r.IntN(len(want))
				p := make([]byte, r.IntN(3*rowRoom))
				n, err := got.ReadAt(p, int64(off))
				if string(p[:n]) != want[off:min(len(want), off+len(p))] ||
					err != nil && err != io.EOF {
					t.Fatalf("ReadAt(%d bytes, %d) = %q, %v", len(p), off, p[:n], err)
				}
			}
		})
	}
}

// sparse makes a map of n extents of which one in every has a row in the table.
func sparse(tb testing.TB, n, every int) *extent.Map {
	runs := make([]run, n)
	for i := range runs {
		switch {
		case i%max(every, 2) == 1:
			runs[i] = run{length: 65536, flags: data, offset: uint64(i) << 17}
		case i&1 == 0:
			runs[i] = run{length: 65536, flags: hole}
		default:
			runs[i] = run{length: 65536, flags: zero}
		}
	}
	return mapOf(tb, 0, []string{"a.qcow2"}, runs...)
}

func TestReadAtDoesNotAllocate(t *testing.T) {
	for _, v := range []View{JSON, Text} {
		r, err := New(sparse(t, 5000, 2), v, 0)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 131072)
		if n := testing.AllocsPerRun(10, func() { _, _ = r.ReadAt(p, 777) }); n != 0 {
			t.Errorf("view %d: %v allocations per ReadAt", v, n)
		}
	}
}

func TestReadAtBeforeTheStart(t *testing.T) {
	r, _ := New(mixed(t), JSON, 0)
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Fatalf("error %v", err)
	}
}

func TestWriteToStopsAtAnError(t *testing.T) {
	r, _ := New(sparse(t, 5000, 2), JSON, 0)
	w := &failing{room: 100_000}
	if n, err := r.WriteTo(w); n != 100_000 || !errors.Is(err, io.ErrShortWrite) {
		t.Fatalf("%d, %v", n, err)
	}
}

type failing struct{ room int }

func (f *failing) Write(p []byte) (int, error) {
	n := min(f.room, len(p))
	f.room -= n
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

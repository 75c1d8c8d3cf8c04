package compose

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/image"
	"instarfs/vmm/session"
)

const (
	seen   = stored | extent.Holes
	bare   = seen | extent.Bare
	packed = present | data | extent.Compressed
)

// TestStates: what each state of a layer becomes, for qemu 8.2 and later, for 6.1 to 8.1, and
// before.
func TestStates(t *testing.T) {
	tests := []struct {
		name               string
		layer              extent.Flags
		now, before82, old extent.Flags
	}{
		{"unallocated", 0, zero, zero, zero},
		{"unallocated, with a cluster", offset, zero | offset, zero | offset, zero | offset},
		{"zero", present | zero, present | zero, present | zero, zero},
		{"zero, with a cluster", present | zero | offset, present | zero | offset,
			present | zero | offset, zero | offset},
		{"data", stored, stored, stored, stored},
		{"data that a hole stores", stored | zero, stored | zero, stored | zero, stored | zero},
		{"compressed", packed, packed, present | data, present | data},
		{"encrypted", present | data | extent.Encrypted, present | data | extent.Encrypted,
			present | data | extent.Encrypted, present | data | extent.Encrypted},
		{"holes", seen, stored, stored, stored},
		{"bare", bare, stored, stored, stored},
		{"ahead of bad", stored | extent.BadAhead, stored, stored, stored},
	}
	for _, test := range tests {
		for _, s := range []struct {
			qemu img.Release
			want extent.Flags
		}{{0, test.now}, {8<<16 | 2, test.now}, {9 << 16, test.now}, {8<<16 | 1, test.before82},
			{6<<16 | 1, test.before82}, {6 << 16, test.old}, {2 << 16, test.old}} {
			st := styleOf(s.qemu)
			got := st.final(extent.State{Flags: test.layer, File: 3})
			if got != (extent.State{Flags: s.want, File: 3}) {
				t.Errorf("%s for %d.%d: %+v, want %b", test.name, s.qemu>>16, s.qemu&0xffff,
					got, s.want)
			}
			if st.qemu != (s.qemu != 0) {
				t.Error("style of", s.qemu)
			}
		}
	}
}

// compose makes the map of a single layer the way package chain does, in the style of a release.
func compose(
	ctx context.Context, l *session.Layer, file Holes, name string, s style, limit int,
) (*extent.Map, *fault.Fault, error) {
	c := &Chain{Window: img.Whole}
	switch {
	case s.noPresent:
		c.Release = img.NewRelease(6, 0)
	case s.qemu:
		c.Release = img.NewRelease(9, 0)
	}
	if styleOf(c.Release) != s {
		panic("no release has this style")
	}
	p, err := enter(ctx, time.Minute)
	if err != nil {
		return nil, nil, err
	}
	defer p.Leave()
	split := *l
	if split.Map, err = ShowHoles(p, l, file, limit); err != nil {
		return nil, nil, err
	}
	c.Layers = []*File{{Name: name, Holes: file, Layer: &split}}
	r, err := c.Compose(p, limit)
	var f *fault.Fault
	switch {
	case errors.As(err, &f):
		return nil, f, nil
	case err != nil:
		return nil, nil, err
	}
	return r.Map, r.Failed, nil
}

// TestCompose: holes, merging, and that the file is asked only where its holes show through. See
// docs/qemu-img-map.md.
func TestCompose(t *testing.T) {
	now, old := style{}, style{qemu: true, noCompressed: true, noPresent: true}
	file := func(rs ...region) Holes { return &fakeHoles{regions: rs} }
	tests := []struct {
		name  string
		file  Holes
		style style
		layer []extent.Extent
		want  []extent.Extent
	}{
		{"empty window", noFile{t}, now, nil, nil},
		{"unallocated", noFile{t}, now, []extent.Extent{ext(0, 10, 0, 0)},
			[]extent.Extent{ext(0, 10, zero, 0)}},
		{"zero of the layer and of nobody", noFile{t}, now,
			[]extent.Extent{ext(0, 10, present|zero, 0), ext(10, 10, 0, 0)},
			[]extent.Extent{ext(0, 10, present|zero, 0), ext(10, 10, zero, 0)}},
		{"the same before 6.1", noFile{t}, old,
			[]extent.Extent{ext(0, 10, present|zero, 0), ext(10, 10, 0, 0), ext(20, 10, packed, 0),
				ext(30, 10, present|data, 0)},
			[]extent.Extent{ext(0, 20, zero, 0), ext(20, 20, present|data, 0)}},
		{"raw without holes", file(region{100, false}), now, []extent.Extent{ext(0, 100, bare, 0)},
			[]extent.Extent{ext(0, 100, stored, 0)}},
		{"raw with a hole", file(region{10, false}, region{20, true}, region{100, false}), now,
			[]extent.Extent{ext(0, 100, bare, 0)},
			[]extent.Extent{ext(0, 10, stored, 0), ext(10, 10, present|zero|offset, 10),
				ext(20, 80, stored, 20)}},
		{"raw, end of the file inside a sector", file(region{1000, false}), now,
			[]extent.Extent{ext(0, 1024, bare, 0)},
			[]extent.Extent{ext(0, 1000, stored, 0), ext(1000, 24, present|zero|offset, 1000)}},
		{"raw, hole at the end", file(region{10, false}, region{100, true}), now,
			[]extent.Extent{ext(0, 512, bare, 0)},
			[]extent.Extent{ext(0, 10, stored, 0), ext(10, 502, present|zero|offset, 10)}},
		{"raw, all hole", file(region{1 << 40, true}), now,
			[]extent.Extent{ext(0, 1<<40, bare, 0)},
			[]extent.Extent{ext(0, 1<<40, present|zero|offset, 0)}},
		{"raw, window", file(region{10, true}, region{100, false}), now,
			[]extent.Extent{ext(7, 5, bare, 7)},
			[]extent.Extent{ext(7, 3, present|zero|offset, 7), ext(10, 2, stored, 10)}},
		{"preallocated qcow2",
			file(region{1000, false}, region{1010, true}, region{2000, false}), now,
			[]extent.Extent{ext(0, 20, seen, 990), ext(20, 10, 0, 0), ext(30, 10, seen, 1005)},
			[]extent.Extent{ext(0, 10, stored, 990),
				ext(10, 10, stored|zero, 1000), ext(20, 10, zero, 0),
				ext(30, 5, stored|zero, 1005), ext(35, 5, stored, 1010)}},
		{"cluster behind the end of the file", file(region{100, false}), now,
			[]extent.Extent{ext(0, 10, seen, 1<<62)},
			[]extent.Extent{ext(0, 10, stored|zero, 1<<62)}},
		{"hole beside a cluster that is not looked through",
			file(region{50, false}, region{100, true}), now,
			[]extent.Extent{ext(0, 10, stored, 60), ext(10, 10, seen, 70)},
			[]extent.Extent{ext(0, 10, stored, 60), ext(10, 10, stored|zero, 70)}},
		{"data on both sides merges", file(region{1000, false}), now,
			[]extent.Extent{ext(0, 10, stored, 60), ext(10, 10, seen, 70)},
			[]extent.Extent{ext(0, 20, stored, 60)}},
		{"no interface for holes", noHoles{unix.EINVAL}, now,
			[]extent.Extent{ext(0, 100, bare, 0)}, []extent.Extent{ext(0, 100, stored, 0)}},
		{"interface that lies", noHoles{nil}, now,
			// SEEK_DATA answers what lies before the question
			[]extent.Extent{ext(5, 100, bare, 5)}, []extent.Extent{ext(5, 100, stored, 5)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := layerOf(t, test.layer...)
			m, bad, err := compose(t.Context(), l, test.file, "disk", test.style, 100)
			if err != nil || bad != nil {
				t.Fatal(bad, err)
			}
			if got := extents(m); !slices.Equal(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if m.Start() != l.Map.Start() || m.End() != l.Map.End() ||
				!slices.Equal(m.Files(), []string{"disk"}) {
				t.Error(m.Start(), m.End(), m.Files())
			}
		})
	}
}

// TestFewQuestions: extents that lie in one region of the file are one question, not one each.
func TestFewQuestions(t *testing.T) {
	var es []extent.Extent
	for i := range uint64(1000) {
		f := seen
		if i%2 == 1 {
			f = present | zero
		}
		e := ext(10*i, 10, f, 0)
		if i%2 == 0 {
			e.Offset = 20 * i
		}
		es = append(es, e)
	}
	file := &fakeHoles{regions: []region{{10_000, false}, {1 << 30, true}}}
	if _, _, err := compose(t.Context(), layerOf(t, es...), file, "", style{}, 0); err != nil {
		t.Fatal(err)
	}
	if file.asked > 4 {
		t.Errorf("asked %d times", file.asked)
	}
}

// TestQuestionsTogether: the regions under one extent are asked for in a few calls, and no others.
func TestQuestionsTogether(t *testing.T) {
	const n = 1000
	var rs []region
	for i := range 2 * n {
		rs = append(rs, region{int64(i+1) * 10, i%2 == 0})
	}
	file := &fakeHoles{regions: rs}
	m, _, err := compose(t.Context(), layerOf(t, ext(0, 10*n, bare, 0)), file, "", style{}, 0)
	if err != nil || m.Len() != n {
		t.Fatalf("%v, %v", m, err)
	}
	if file.calls > n/image.MaxSpans+1+n/10 || file.asked > 3*n/2 {
		t.Errorf("%d calls, %d questions", file.calls, file.asked)
	}
}

// TestHolesMultiply: a composed map has a limit, and composing it an end.
func TestHolesMultiply(t *testing.T) {
	l := layerOf(t, ext(0, 1<<50, bare, 0))
	_, _, err := compose(t.Context(), l, manyHoles{}, "", style{}, 1000)
	if !errors.Is(err, extent.ErrTooMany) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("nobody waits")
	cancel(cause)
	if _, _, err := compose(ctx, l, manyHoles{}, "", style{}, math.MaxInt); !errors.Is(err, cause) {
		t.Error(err)
	}
}

// TestBad: an extent that is bad fails the map, or in the style of qemu cuts it where qemu-img's
// output ends: the entry that still grows is lost. See docs/qemu-img-map.md.
func TestBad(t *testing.T) {
	f0, f1 := fault.New(fault.Qcow2L2Unaligned, 8), fault.New(fault.Qcow2InvalidSubcluster, 16)
	bad := func(start, n, i uint64) extent.Extent { return ext(start, n, extent.Bad, i) }
	ahead := func(e extent.Extent) extent.Extent { e.Flags |= extent.BadAhead; return e }
	tests := []struct {
		name  string
		layer []extent.Extent
		fault *fault.Fault
		want  []extent.Extent // of what qemu-img prints
	}{
		{"at once", []extent.Extent{bad(0, 10, 1)}, f1, nil},
		{"pending entry is lost", []extent.Extent{ext(0, 10, present|zero, 0), bad(10, 10, 0)},
			f0, nil},
		{"entry before stays",
			[]extent.Extent{ext(0, 10, present|zero, 0), ext(10, 10, 0, 0), bad(20, 10, 0),
				ext(30, 5, 0, 0), bad(35, 5, 1)},
			f0, []extent.Extent{ext(0, 10, present|zero, 0)}},
		{"merged pending entry is lost whole",
			[]extent.Extent{ext(0, 10, 0, 0), ext(10, 10, stored, 0),
				ext(20, 10, stored|extent.Holes, 10), bad(30, 10, 0)},
			f0, []extent.Extent{ext(0, 10, zero, 0)}},
		{"seen ahead", []extent.Extent{ext(0, 10, 0, 0), ext(10, 10, present|zero, 0),
			ahead(ext(20, 10, stored, 0)), bad(30, 10, 1)},
			f1, []extent.Extent{ext(0, 10, zero, 0)}},
		{"ahead of the end of the window",
			[]extent.Extent{ext(0, 10, 0, 0), ahead(ext(10, 10, stored, 0))},
			nil, []extent.Extent{ext(0, 10, zero, 0), ext(10, 10, stored, 0)}},
		{"ahead of what is good after all",
			[]extent.Extent{ahead(ext(0, 10, stored, 0)), ext(10, 10, stored, 10)},
			nil, []extent.Extent{ext(0, 20, stored, 0)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := layerOf(t, test.layer...)
			l.Faults = []abi.RoleFault{{Role: abi.RoleBad, Fault: f0},
				{Role: abi.RoleBad, Fault: f1}}
			file := &fakeHoles{regions: []region{{1000, false}}}
			m, f, err := compose(t.Context(), l, file, "d", style{qemu: true}, 0)
			if err != nil || f != test.fault || !slices.Equal(extents(m), test.want) {
				t.Errorf("as qemu: %+v, %v, %v", extents(m), f, err)
			}
			m, f, err = compose(t.Context(), l, file, "d", style{}, 0)
			if err != nil || f != test.fault || (m == nil) != (test.fault != nil) {
				t.Errorf("by default: %+v, %v, %v", m, f, err)
			}
		})
	}
}

// FuzzCompose compares with a model that asks for every byte by itself.
func FuzzCompose(f *testing.F) {
	f.Add([]byte{0, 10, 20, 1, 5, 30, 3, 9, 9}, []byte{10, 5, 20})
	f.Fuzz(func(t *testing.T, layer, file []byte) {
		states := []extent.Flags{0, present | zero, stored, seen, bare, packed, offset,
			present | zero | offset}
		var es []extent.Extent
		next := uint64(0)
		for ; len(layer) >= 3; layer = layer[3:] {
			e := ext(next, 1+uint64(layer[1]), states[layer[0]%8], 0)
			if e.Flags.Has(offset) {
				e.Offset = uint64(layer[2])
			}
			es = append(es, e)
			next = e.End()
		}
		if len(es) == 0 {
			return
		}
		regions, end := []region{}, int64(0)
		for i, n := range file {
			end += int64(n) + 1
			regions = append(regions, region{end, i%2 == 0})
		}
		regions = append(regions, region{end + 1, false})
		hole := func(off uint64) bool {
			for _, r := range regions {
				if off < uint64(r.end) {
					return r.hole
				}
			}
			return true
		}
		m, _, err := compose(t.Context(), layerOf(t, es...), &fakeHoles{regions: regions},
			"", style{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			for i := range e.Length {
				want := e.Skip(i)
				if e.Flags.Has(extent.Holes) && hole(want.Offset) {
					want.Flags |= zero
					if e.Flags.Has(extent.Bare) {
						want.Flags &^= data
					}
				}
				if e.Flags&present == 0 {
					want.Flags |= zero
				}
				want.Flags &^= extent.Holes | extent.Bare
				got := m.At(m.Find(want.Start))
				got = got.Skip(want.Start - got.Start)
				if got.State != want.State || got.Offset != want.Offset {
					t.Fatalf("byte %d is %+v, want %+v", want.Start, got, want)
				}
			}
		}
	})
}

// TestShowHoles: which extents of a layer have the holes of its own file in them.
func TestShowHoles(t *testing.T) {
	elsewhere := ext(30, 10, seen, 0)
	elsewhere.File = 1
	l := layerOf(t, ext(0, 10, seen, 0), ext(10, 10, seen|extent.BadAhead, 0),
		ext(20, 10, stored, 0), elsewhere)
	want := []extent.Extent{
		ext(0, 5, stored, 0), ext(5, 5, stored|zero, 5),
		ext(10, 10, seen|extent.BadAhead, 0), ext(20, 10, stored, 0), elsewhere}
	p, err := enter(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Leave()
	m, err := ShowHoles(p, l, &fakeHoles{regions: []region{{5, false}, {100, true}}}, 0)
	if err != nil || !slices.Equal(extents(m), want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, extents(m), want)
	}
}

package formattest

import (
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// FuzzWindow is the most bytes of a disk that Properties walks, so that an input takes
// milliseconds whatever its header says.
const FuzzWindow = 1 << 32

// Properties checks what holds for every walker and any bytes b: it does not panic, extents
// tile the window or there is a fault, a window has the same extents as the whole disk, and the
// cost is bounded. Set parts to false if extents may depend on where the window starts.
// Properties returns the result for the whole disk, nil for a fault.
func Properties(t testing.TB, d *format.Driver, b []byte, qemu img.Release, start, length uint64,
	parts bool) *Result {
	t.Helper()
	run := func(w img.Window) (*Result, *Device) {
		dev := Bytes(b)
		r, f, err := Run(d, &format.Params{Dev: dev, Allocated: uint64(len(b)), Release: qemu}, w)
		if err != nil {
			t.Fatal(err)
		}
		if f != nil {
			return nil, dev
		}
		return r, dev
	}
	whole, dev := run(img.Window{End: FuzzWindow})
	if dev.Bytes > 1<<31 {
		t.Fatalf("%d bytes read", dev.Bytes)
	}
	if whole == nil || whole.Map.End() == 0 {
		return whole
	}
	start %= whole.Map.End()
	end := min(whole.Map.End(), start+length%whole.Map.End()+1)
	part, _ := run(img.Window{Start: start, End: end})
	if part == nil {
		t.Fatalf("[%d,%d) has a fault, and the whole disk has none", start, end)
	}
	if parts {
		for at := start; at < end; {
			w, p := whole.at(at), part.at(at)
			n := min(w.Length, p.Length)
			w.Length, p.Length = n, n
			if w.Flags == extent.Bad && p.Flags == extent.Bad {
				w.Offset, p.Offset = 0, 0
			}
			w.Flags &^= extent.BadAhead
			p.Flags &^= extent.BadAhead
			if w != p {
				t.Fatalf("at %d: %+v, in a window %+v", at, w, p)
			}
			at += n
		}
	}
	return whole
}

// at returns the part of an extent that starts at a byte.
func (r *Result) at(off uint64) extent.Extent {
	e := r.Map.At(r.Map.Find(off))
	if off > e.Start {
		e = e.Skip(off - e.Start)
	}
	return e
}

// Vector is an image with the extents of the whole disk, or with the fault.
type Vector struct {
	Name  string
	Image []byte
	Qemu  img.Release
	Want  []extent.Extent
	Fault string // the message of the fault, if there is one
}

// Check walks the image, and compares.
func (v *Vector) Check(t *testing.T, d *format.Driver) {
	t.Helper()
	p := &format.Params{Dev: Bytes(v.Image), Allocated: uint64(len(v.Image)), Release: v.Qemu}
	r, f, err := Run(d, p, img.Whole)
	switch {
	case err != nil:
		t.Errorf("%s: %v", v.Name, err)
	case f != nil:
		if f.Message() != v.Fault {
			t.Errorf("%s: fault %q, want %q", v.Name, f.Message(), v.Fault)
		}
	case v.Fault != "":
		t.Errorf("%s: no fault, want %q", v.Name, v.Fault)
	default:
		got := Extents(r.Map)
		for i := range max(len(got), len(v.Want)) {
			if i >= len(got) || i >= len(v.Want) || got[i] != v.Want[i] {
				t.Errorf("%s: extents\n%+v\nwant\n%+v", v.Name, got, v.Want)
				return
			}
		}
	}
}

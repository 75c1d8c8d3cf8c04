package formattest

import (
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// FuzzWindow is the most of a disk that Properties walks, bytes, so that an input costs milliseconds whatever it claims.
const FuzzWindow = 1 << 32

// Properties checks what every walker must keep to, whatever b is: no panic, a window that is tiled or a fault, the same answer for
// a part of the disk as for all of it, and a bounded cost. It returns what was found, nil for a fault. parts is false where an answer
// may depend on where the question begins.
func Properties(t testing.TB, d *format.Driver, b []byte, qemu img.Release, start, length uint64, parts bool) *Result {
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

// at is what the map says from a byte on.
func (r *Result) at(off uint64) extent.Extent {
	e := r.Map.At(r.Map.Find(off))
	if off > e.Start {
		e = e.Skip(off - e.Start)
	}
	return e
}

// Vector is an image and what a walk over all of it must find, or the fault.
type Vector struct {
	Name  string
	Image []byte
	Qemu  img.Release
	Want  []extent.Extent
	Fault string // its message; empty if there is none
}

// Check walks a vector.
func (v *Vector) Check(t *testing.T, d *format.Driver) {
	t.Helper()
	r, f, err := Run(d, &format.Params{Dev: Bytes(v.Image), Allocated: uint64(len(v.Image)), Release: v.Qemu}, img.Whole)
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

package session

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/ledger"
)

// scripted is a guest that says what it is told to, one event after the other.
type scripted struct {
	events []Event
	disk   *Disk
	before func(*Disk) error // what it does first
	config abi.Config
}

func (s *scripted) Carrier() string { return "script" }

func (s *scripted) Start(c *abi.Config, _ *Job, d *Disk) error {
	s.config, s.disk = *c, d
	return nil
}

func (s *scripted) Next(m *Meter) (Event, error) {
	if err := m.Exit(); err != nil {
		return Event{}, err
	}
	if s.before != nil {
		before := s.before
		s.before = nil
		if err := before(s.disk); err != nil {
			return Event{}, err
		}
	}
	if len(s.events) == 0 {
		return Event{}, s.Blame(KindExit, "the script ends")
	}
	e := s.events[0]
	s.events = s.events[1:]
	return e, nil
}

func (s *scripted) Blame(k Kind, format string, args ...any) *GuestError {
	return Errorf(k, format, args...)
}

// records encodes extents.
func records(es ...extent.Extent) []byte {
	b := make([]byte, len(es)*abi.RecordLen)
	for i, e := range es {
		abi.PutRecord(b[i*abi.RecordLen:], e)
	}
	return b
}

// done is the event that ends a run.
func done(t testing.TB, records []byte, r abi.Result) Event {
	t.Helper()
	page := make([]byte, abi.ResultLen)
	n, err := r.Encode(page)
	if err != nil {
		t.Fatal(err)
	}
	return Event{Records: [2][]byte{records, nil}, Result: page[:n]}
}

// ext is an extent of a layer map.
func ext(start, length uint64, flags extent.Flags, offset uint64, file uint16) extent.Extent {
	return extent.Extent{Start: start, Length: length, Offset: offset,
		State: extent.State{Flags: flags, File: file}}
}

const (
	zeroes = extent.Present | extent.Zero
	stored = extent.Present | extent.Data | extent.Offset
)

func serveScript(t testing.TB, b Budget, job *Job, s *scripted) (*Layer, error) {
	t.Helper()
	ticket, err := NewHost(Options{Budget: b}).Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ticket.Leave()
	m := ticket.Meter(t.Context(), func() {})
	defer m.Stop()
	return Serve(m, s, job)
}

// TestServe: what a guest says is a layer only if all of it fits together; else the run ends with
// the right kind of error, which names the carrier.
func TestServe(t *testing.T) {
	const size = 4096
	whole := records(ext(0, 1024, zeroes, 0, 0), ext(1024, 3072, stored, 512, 0))
	result := abi.Result{Format: img.Qcow2, Extents: 2, VirtualSize: size}
	refs := []img.Reference{{Kind: img.Backing, Name: "base"}, {Kind: img.DataFile, Name: "data"}}
	with := func(change func(r *abi.Result)) abi.Result {
		r := result
		change(&r)
		return r
	}
	corrupt := fault.New(fault.Qcow2Magic, 7)
	for _, test := range []struct {
		name   string
		events func(t *testing.T) []Event
		want   string // of the error; "" is none
		kind   Kind
	}{
		{"at once", func(t *testing.T) []Event { return []Event{done(t, whole, result)} }, "", 0},
		{"in pieces", func(t *testing.T) []Event {
			return []Event{{Records: [2][]byte{whole[:abi.RecordLen], nil}}, {},
				done(t, whole[abi.RecordLen:], result)}
		}, "", 0},
		{"around the end of a ring", func(t *testing.T) []Event {
			e := done(t, nil, result)
			e.Records = [2][]byte{whole[:abi.RecordLen], whole[abi.RecordLen:]}
			return []Event{e}
		}, "", 0},
		{"data file", func(t *testing.T) []Event {
			return []Event{done(t, records(ext(0, size, stored, 0, 2)),
				with(func(r *abi.Result) { r.Extents, r.References = 1, refs }))}
		}, "", 0},
		{"no result", func(*testing.T) []Event { return nil }, "the script ends", KindExit},
		{"not a result", func(*testing.T) []Event { return []Event{{Result: []byte("MPRS")}} },
			"wrong magic", KindProtocol},
		{"gap", func(t *testing.T) []Event {
			return []Event{done(t, records(ext(1, size-1, zeroes, 0, 0)),
				with(func(r *abi.Result) { r.Extents = 1 }))}
		}, "extent 0: ", KindProtocol},
		{"gap, seen later", func(t *testing.T) []Event {
			return []Event{{Records: [2][]byte{records(ext(1, size-1, zeroes, 0, 0)), nil}},
				done(t, nil, result)}
		}, "extent 0: ", KindProtocol},
		{"short", func(t *testing.T) []Event {
			return []Event{done(t, whole[:abi.RecordLen],
				with(func(r *abi.Result) { r.Extents = 1 }))}
		}, "end before", KindProtocol},
		{"long", func(t *testing.T) []Event {
			return []Event{done(t, whole, with(func(r *abi.Result) { r.VirtualSize = 2048 }))}
		}, "extents up to 4096 of a window that ends at 2048", KindProtocol},
		{"other count", func(t *testing.T) []Event {
			return []Event{done(t, whole, with(func(r *abi.Result) { r.Extents = 3 }))}
		}, "result of 3 extents and 4096 bytes after 2 extents", KindProtocol},
		{"large disk", func(t *testing.T) []Event {
			return []Event{done(t, whole, with(func(r *abi.Result) { r.VirtualSize = 1 << 63 }))}
		}, "result of 2 extents and 9223372036854775808 bytes", KindProtocol},
		{"overhang", func(t *testing.T) []Event {
			return []Event{done(t, whole, with(func(r *abi.Result) { r.Overhang = size + 1 }))}
		}, "result of 2 extents", KindProtocol},
		{"file that is not named", func(t *testing.T) []Event {
			return []Event{done(t, records(ext(0, size, stored, 0, 3)),
				with(func(r *abi.Result) { r.Extents, r.References = 1, refs }))}
		}, "reference 3 of 2", KindProtocol},
		{"fault that is not there", func(t *testing.T) []Event {
			return []Event{done(t, records(ext(0, size, extent.Bad, 0, 0)),
				with(func(r *abi.Result) { r.Extents = 1 }))}
		}, "fault 1 of 0", KindProtocol},
		{"extents in the backing file", func(t *testing.T) []Event {
			return []Event{done(t, records(ext(0, size, stored, 0, 1)),
				with(func(r *abi.Result) { r.Extents, r.References = 1, refs }))}
		}, "extents in the backing file", KindProtocol},
		{"two backing files", func(t *testing.T) []Event {
			return []Event{done(t, whole,
				with(func(r *abi.Result) { r.References = []img.Reference{refs[0], refs[0]} }))}
		}, "2 backing files", KindProtocol},
		{"fault of the image", func(t *testing.T) []Event {
			return []Event{done(t, nil,
				abi.Result{Error: corrupt.Class(),
					Faults: []abi.RoleFault{{Role: abi.RoleRun, Fault: corrupt}}})}
		}, "offset 7", 0},
		{"failure without a fault", func(t *testing.T) []Event {
			return []Event{done(t, nil, abi.Result{Error: fault.Corrupt})}
		}, "error 5 without its fault", KindProtocol},
		{"failure with another fault", func(t *testing.T) []Event {
			return []Event{done(t, nil,
				abi.Result{Error: fault.NeedsKey,
					Faults: []abi.RoleFault{{Role: abi.RoleRun, Fault: corrupt}}})}
		}, "without its fault", KindProtocol},
		{"too many extents", func(t *testing.T) []Event {
			return []Event{done(t,
				records(ext(0, 1, 0, 0, 0), ext(1, 1, zeroes, 0, 0), ext(2, 1, 0, 0, 0),
					ext(3, 1, zeroes, 0, 0)),
				with(func(r *abi.Result) { r.Extents, r.VirtualSize = 4, 4 }))}
		}, "more than 3 extents", KindExtents},
		{"too many exits", func(*testing.T) []Event { return make([]Event, 100) },
			"more than 10 times", KindExits},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := DefaultBudget
			b.Extents, b.Exits = 3, 10
			s := &scripted{events: test.events(t)}
			l, err := serveScript(t, b, &Job{Size: 8192, Window: img.Whole, Release: 7}, s)
			if s.config.DeviceSize != 8192 || s.config.Window != img.Whole ||
				s.config.Release != 7 || s.config.SectorSize != DefaultSectorSize {
				t.Errorf("configuration %+v", s.config)
			}
			var g *GuestError
			switch {
			case test.want == "":
				if err != nil || l.Map.End() != size || l.VirtualSize != size ||
					l.Format != img.Qcow2 {
					t.Errorf("%+v, %v", l, err)
				}
			case l != nil || err == nil || !strings.Contains(err.Error(), test.want):
				t.Errorf("%v, %v, want %q", l, err, test.want)
			case IsFault(err):
				if test.kind != 0 {
					t.Error(err)
				}
			case !errors.As(err, &g) || g.Kind != test.kind || g.Carrier != "script":
				t.Errorf("%#v, want kind %v", err, test.kind)
			}
		})
	}
}

// TestServeReadFails: the error of a read that the guest gave up for is the reader's own.
func TestServeReadFails(t *testing.T) {
	broken := file(func([]byte, int64) (int, error) { return 0, io.ErrNoProgress })
	f := fault.New(fault.DeviceRead, 0)
	s := &scripted{
		before: func(d *Disk) error {
			if ok, err := d.ReadSectors(make([]byte, 512), 0); ok || err != nil {
				t.Error(ok, err)
			}
			return nil
		},
		events: []Event{done(t, nil,
			abi.Result{Error: f.Class(), Faults: []abi.RoleFault{{Role: abi.RoleRun, Fault: f}}})},
	}
	_, err := serveScript(t, DefaultBudget, &Job{Image: broken, Size: 512, Window: img.Whole}, s)
	if !errors.Is(err, io.ErrNoProgress) || IsFault(err) {
		t.Error(err)
	}
}

// TestServeCancelled: when nobody waits for a run any more, that is its error, whatever the guest
// did.
func TestServeCancelled(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ticket, err := NewHost(Options{}).Enter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer ticket.Leave()
	m := ticket.Meter(ctx, func() {})
	defer m.Stop()
	s := &scripted{before: func(*Disk) error { cancel(cause); return nil }}
	if _, err := Serve(m, s, &Job{Size: 512, Window: img.Whole}); err != cause {
		t.Error(err)
	}
}

// TestServeWithoutMemory: a layer for which there is no room fails, and what was booked for it
// comes back.
func TestServeWithoutMemory(t *testing.T) {
	books := ledger.New(LayerCost + 1024)
	ticket, err := NewHost(Options{Memory: books}).Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ticket.Leave()
	m := ticket.Meter(t.Context(), func() {})
	defer m.Stop()
	var es []extent.Extent
	for i := range uint64(2048) {
		es = append(es, ext(2*i, 1, 0, 0, 0), ext(2*i+1, 1, zeroes, 0, 0))
	}
	s := &scripted{events: []Event{done(t, records(es...),
		abi.Result{Extents: uint64(len(es)), VirtualSize: uint64(len(es))})}}
	if _, err := Serve(m, s, &Job{Size: 512, Window: img.Whole}); !errors.Is(err, ledger.ErrFull) {
		t.Error(err)
	}
	if books.Used() != 0 {
		t.Errorf("%d bytes are still booked", books.Used())
	}
}

// FuzzServe: whatever records and result a guest sends, in whatever pieces, the host does not
// panic, and a layer that comes of it tiles its window and points to nothing that is not there.
func FuzzServe(f *testing.F) {
	whole := records(ext(0, 1024, zeroes, 0, 0), ext(1024, 3072, stored, 512, 1))
	r := abi.Result{Format: img.Qcow2, Extents: 2, VirtualSize: 4096,
		References: []img.Reference{{Kind: img.DataFile, Name: "d"}}}
	f.Add(whole, done(f, nil, r).Result, uint8(1), uint64(0), uint64(1<<40))
	f.Add(whole[:abi.RecordLen], []byte("MPRS"), uint8(0), uint64(7), uint64(9))
	f.Fuzz(func(t *testing.T, b, result []byte, pieces uint8, start, end uint64) {
		b = b[:len(b)/abi.RecordLen*abi.RecordLen]
		b = b[:min(len(b), abi.RingLen)]
		result = result[:min(len(result), abi.ResultLen)]
		var s scripted
		for range pieces % 8 {
			n := len(b) / 2 / abi.RecordLen * abi.RecordLen
			s.events = append(s.events, Event{Records: [2][]byte{b[:n], nil}})
			b = b[n:]
		}
		s.events = append(s.events,
			Event{Records: [2][]byte{b, nil}, Result: append([]byte{}, result...)})
		w := img.Window{Start: start, End: end}
		l, err := serveScript(t, DefaultBudget, &Job{Size: 1 << 20, Window: w}, &s)
		if (l == nil) == (err == nil) {
			t.Fatal(l, err)
		}
		if err != nil {
			return
		}
		want, next := w.Clip(l.VirtualSize), w.Start
		for i := range l.Map.Len() {
			e := l.Map.At(i)
			if e.Start != next || int(e.File) > len(l.References) || e.Flags == extent.Bad &&
				e.Offset >= uint64(len(l.Faults)) {
				t.Fatalf("extent %d is %+v", i, e)
			}
			next = e.End()
		}
		if next != want.End {
			t.Fatalf("the map ends at %d, the window at %d", next, want.End)
		}
	})
}

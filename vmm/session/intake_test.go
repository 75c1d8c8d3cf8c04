package session

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/vmm/bug"
)

// testStream is a ring of a guest, and the intake of its run.
type testStream struct {
	Ring
	*intake
	control, ring []byte
}

func newTestStream() *testStream {
	return &testStream{intake: newIntake(0, 0), control: make([]byte, 8),
		ring: make([]byte, abi.RingLen)}
}

// produce writes records as a guest would, after those that were taken, and then the index.
func (s *testStream) produce(es ...extent.Extent) {
	for i, e := range es {
		abi.PutRecord(s.ring[(s.Ring.taken+uint64(i))%abi.RingRecords*abi.RecordLen:], e)
	}
	binary.LittleEndian.PutUint64(s.control, s.Ring.taken+uint64(len(es)))
}

// drain takes what there is: to be decoded at once if the run is done.
func (s *testStream) drain(done bool) error {
	records, err := s.Take(s.control, s.ring)
	if err != nil {
		return err
	}
	e := Event{Records: records}
	if done {
		e.Result = []byte{}
	}
	return s.take(e)
}

// TestRingWraps: many more records than the ring holds, in portions that do not divide it, arrive
// in order.
func TestRingWraps(t *testing.T) {
	s := newTestStream()
	const portion, portions = 10_007, 11
	n := 0
	for range portions {
		es := make([]extent.Extent, portion)
		for i := range es {
			es[i] = extent.Extent{Start: uint64(2 * n), Length: 2}
			if n%2 == 0 {
				es[i].Flags = extent.Present | extent.Zero
			}
			n++
		}
		s.produce(es...)
		if err := s.drain(true); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.out.Bound(uint64(2 * n)); err != nil {
		t.Fatal(err)
	}
	m, err := s.out.Finish(nil)
	if err != nil || m.Len() != portion*portions || s.intake.taken != portion*portions {
		t.Fatal(m.Len(), s.Ring.taken, err)
	}
	// A ring that is full to the last record, and an empty one.
	s = newTestStream()
	es := make([]extent.Extent, abi.RingRecords)
	for i := range es {
		es[i] = extent.Extent{Start: uint64(i), Length: 1}
	}
	s.produce(es...)
	for range 2 {
		if err := s.drain(true); err != nil || s.Ring.taken != abi.RingRecords {
			t.Fatal(s.Ring.taken, err)
		}
	}
}

// TestBehind: what is taken in portions while the guest goes on arrives in order, and a record that
// is wrong ends it, be it seen at the next portion or in the end.
func TestBehind(t *testing.T) {
	portion := func(n, from int) (es []extent.Extent) {
		for i := range n {
			f := extent.Flags(0)
			if i%2 == 0 {
				f = extent.Present | extent.Zero
			}
			es = append(es, extent.Extent{Start: uint64(from + i), Length: 1,
				State: extent.State{Flags: f}})
		}
		return es
	}
	s := newTestStream()
	n := 0
	for _, k := range []int{abi.RingRecords, 10, abi.RingRecords - 2, 0, abi.RingRecords} {
		s.produce(portion(k, n)...)
		if err := s.drain(false); err != nil {
			t.Fatal(err)
		}
		n += k
	}
	s.produce(portion(6, n)...)
	if err := s.drain(true); err != nil || s.decoded != uint64(n+6) ||
		s.out.Next() != uint64(n+6) || s.behind != nil {
		t.Fatal(s.decoded, s.out.Next(), err)
	}
	s = newTestStream()
	var err error
	for i := 0; i < 20 && err == nil; i++ {
		s.produce(portion(2, 7)...) // not where the map goes on
		err = s.drain(false)
	}
	if err == nil {
		err = s.drain(true)
	}
	if !errors.Is(err, extent.ErrGap) || s.decoded != 0 || s.behind != nil {
		t.Fatal(s.decoded, err)
	}
}

func TestPointersOfExtents(t *testing.T) {
	s := newTestStream()
	data := extent.State{Flags: extent.Present | extent.Data | extent.Offset, File: 7}
	s.produce(
		extent.Extent{Length: 1, State: data},
		extent.Extent{Start: 1, Length: 1, Offset: 5, State: extent.State{Flags: extent.Bad}},
		extent.Extent{Start: 2, Length: 1, Offset: 2, State: extent.State{Flags: extent.Bad}},
	)
	if err := s.drain(true); err != nil || s.maxFile != 7 || s.bads != 6 {
		t.Error(s.maxFile, s.bads, err)
	}
}

// FuzzDrain lets a guest write any index and any records, twice: drain never panics, never takes
// more than a ring at a time, and what it accepts is a sequence that tiles.
func FuzzDrain(f *testing.F) {
	good := make([]byte, 2*abi.RecordLen)
	abi.PutRecord(good, extent.Extent{Length: 10})
	abi.PutRecord(good[abi.RecordLen:],
		extent.Extent{Start: 10, Length: 10,
			State: extent.State{Flags: extent.Present | extent.Zero}})
	f.Add(uint64(0), uint64(2), uint64(2), good)
	f.Add(uint64(abi.RingRecords-1), uint64(abi.RingRecords+1), uint64(0), good)
	f.Add(uint64(math.MaxUint64), uint64(1), uint64(math.MaxUint64), good)
	f.Fuzz(func(t *testing.T, taken, first, second uint64, records []byte) {
		s := newTestStream()
		s.Ring.taken = taken
		at := copy(s.ring[taken%abi.RingRecords*abi.RecordLen:], records)
		copy(s.ring, records[at:])
		for _, index := range []uint64{first, second} {
			before := s.Ring.taken
			binary.LittleEndian.PutUint64(s.control, index)
			err := s.drain(true)
			if s.Ring.taken-before > abi.RingRecords {
				t.Fatalf("took %d records at once", s.Ring.taken-before)
			}
			if err != nil {
				return
			}
			if s.Ring.taken != index {
				t.Fatalf("stopped at %d of %d", s.Ring.taken, index)
			}
		}
		end := s.out.Next()
		if err := s.out.Bound(end); err != nil {
			t.Fatal(err)
		}
		m, err := s.out.Finish(nil)
		if err != nil {
			t.Fatal(err)
		}
		next := uint64(0)
		for i := range m.Len() {
			e := m.At(i)
			if e.Start != next || e.Flags&^extent.All != 0 || int(e.File) > s.maxFile ||
				e.Flags == extent.Bad && int(e.Offset) >= s.bads {
				t.Fatalf("extent %d is %+v", i, e)
			}
			next = e.End()
		}
		if next != end {
			t.Fatalf("ends at %d, not %d", next, end)
		}
	})
}

// isBug reports whether err is a *bug.Error of one line that says text, where it happened included.
func isBug(err error, text string) bool {
	var ours *bug.Error
	return errors.As(err, &ours) && strings.Contains(err.Error(), text) &&
		!strings.Contains(err.Error(), "\n")
}

// TestPanicOfTheDecoder: the goroutine that decodes records is nobody's but its own.
func TestPanicOfTheDecoder(t *testing.T) {
	b := newBehind(&decoder{}) // without a builder
	one := make([]byte, abi.RecordLen)
	abi.PutRecord(one, extent.Extent{Length: 1})
	for range 2 * ringCopies {
		b.decode(one, nil) // takes what comes after the failure, too
	}
	if err := b.wait(); !isBug(err, "nil pointer") {
		t.Error(err)
	}
}

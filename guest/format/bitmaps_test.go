package format_test

import (
	"math/rand"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
)

const stored = extent.Present | extent.Data | extent.Offset

// byteState is the state of one byte of the disk.
type byteState struct {
	flags extent.Flags
	host  uint64
}

// TestBitmaps adds random ranges, and compares each byte of the map with what was added.
func TestBitmaps(t *testing.T) {
	const sector, size = 4, 1 << 15
	zero := extent.Present | extent.Zero
	for seed := range int64(200) {
		rng := rand.New(rand.NewSource(seed))
		device := make([]byte, 1<<13)
		for i := range device {
			device[i] = []byte{0, 0xff, byte(rng.Intn(256))}[rng.Intn(3)]
		}
		dev := formattest.Bytes(device)
		sink := formattest.NewSink(0, size)
		b := &format.Bitmaps{Dev: dev, SectorSize: sector, HighFirst: seed%2 == 0, Sink: sink}
		b.Buf = dev.Buffer(100)
		corrupt := fault.New(fault.BochsExtentOffset, 0)
		var want []byteState
		say := func(f extent.Flags, host uint64) { want = append(want, byteState{f, host}) }
		longest := 1 + rng.Intn(700)
		for b.Pos < size {
			r := format.Range{End: min(size, b.Pos+1+uint64(rng.Intn(longest)))}
			start := b.Pos
			var f *fault.Fault
			switch kind := rng.Intn(6); kind {
			case 0, 1:
				r.Flags = []extent.Flags{0, zero}[kind]
				f = b.Add(r)
			case 2:
				r.Bad = corrupt
				f = b.Add(r)
			default:
				r.Flags, r.Host = stored, 1<<20+start*3
				if kind == 3 {
					f = b.Add(r)
					break
				}
				base := start - min(start, uint64(rng.Intn(200)))
				off := uint64(rng.Intn(1 << 12))
				f = b.AddBits(r, base, off)
				for x := start; x < r.End; x++ {
					bit := (x - base) / sector
					mask := byte(1) << (bit % 8)
					if b.HighFirst {
						mask = 0x80 >> (bit % 8)
					}
					if device[off+bit/8]&mask != 0 {
						say(stored, r.Host+x-start)
					} else {
						say(0, 0)
					}
				}
			}
			if f != nil {
				t.Fatal(f)
			}
			for x := uint64(len(want)); x < r.End; x++ {
				switch {
				case r.Bad != nil:
					say(extent.Bad, 0)
				case r.Flags == stored:
					say(stored, r.Host+x-start)
				default:
					say(r.Flags, 0)
				}
			}
		}
		if f := b.Flush(); f != nil {
			t.Fatal(f)
		}
		m, err := sink.Map()
		if err != nil {
			t.Fatal(err)
		}
		x := uint64(0)
		for _, e := range formattest.Extents(m) {
			for ; x < e.End(); x++ {
				got := byteState{flags: e.Flags}
				if e.Flags.Has(extent.Offset) {
					got.host = e.Offset + x - e.Start
				}
				if got != want[x] {
					t.Fatalf("seed %d: byte %d is %+v, want %+v", seed, x, got, want[x])
				}
			}
		}
	}
}

// TestBitmapsBatch counts the reads for many ranges: bitmaps are read together, and neighbours
// of one state are one range.
func TestBitmapsBatch(t *testing.T) {
	dev := formattest.Bytes(make([]byte, 4096))
	b := &format.Bitmaps{Dev: dev, Buf: dev.Buffer(4096), SectorSize: 1,
		Sink: formattest.NewSink(0, 1<<40)}
	for i := range uint64(1000) {
		if f := b.AddBits(format.Range{End: b.Pos + 8, Flags: stored}, b.Pos, i); f != nil {
			t.Fatal(f)
		}
		for range 3 {
			if f := b.Add(format.Range{End: b.Pos + 8}); f != nil {
				t.Fatal(f)
			}
		}
	}
	if f := b.Flush(); f != nil {
		t.Fatal(f)
	}
	if dev.Reads != 1000 || dev.Batches != 4 {
		t.Errorf("%d reads in %d batches", dev.Reads, dev.Batches)
	}
}

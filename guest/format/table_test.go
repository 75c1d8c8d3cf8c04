package format_test

import (
	"bytes"
	"math/rand"
	"testing"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
)

// TestTable asks for entries of random tables, in order, with and without gaps, and sometimes again
// from the start, and compares them with the bytes of the device.
func TestTable(t *testing.T) {
	for seed := range int64(300) {
		rng := rand.New(rand.NewSource(seed))
		content := make([]byte, 1+rng.Intn(3000))
		rng.Read(content)
		dev := formattest.Bytes(content)
		tab := format.Table{Dev: dev, EntryLen: uint64(1 + rng.Intn(9)), Off: uint64(rng.Intn(50)),
			Limit: uint64(rng.Intn(400))}
		room := uint64(4 + rng.Intn(60))
		tab.Buf = dev.Buffer(int(room * tab.EntryLen))
		content = append(content, make([]byte, 1<<14)...) // the device reads as zeroes there
		ordered := true
		for i := uint64(0); i < 500; {
			need := 1 + uint64(rng.Intn(int(min(room, 5))))
			got, f := tab.From(i, need)
			if f != nil {
				t.Fatal(f)
			}
			n := uint64(len(got)) / tab.EntryLen
			if n < need || n*tab.EntryLen != uint64(len(got)) || i+n > max(tab.Limit, i+need,
				i+room) {
				t.Fatalf("seed %d: %d bytes for %d entries of %d", seed, len(got), need,
					tab.EntryLen)
			}
			if want := content[tab.Off+i*tab.EntryLen:][:len(got)]; !bytes.Equal(got, want) {
				t.Fatalf("seed %d: entry %d is %x, want %x", seed, i, got, want)
			}
			switch rng.Intn(30) {
			case 0:
				i, ordered = uint64(rng.Intn(500)), false
			case 1:
				i += uint64(rng.Intn(100))
			default:
				i += uint64(rng.Intn(int(n) + 1))
			}
		}
		if at, twice := dev.ReadTwice(); twice && ordered {
			t.Fatalf("seed %d: byte %d is read twice", seed, at)
		}
	}
}

// TestTableReadsAgain asks for an entry again after a read of it failed.
func TestTableReadsAgain(t *testing.T) {
	dev := formattest.Bytes([]byte{1, 2, 3, 4, 5, 6})
	tab := format.Table{Dev: dev, EntryLen: 2, Buf: dev.Buffer(4), Limit: 3}
	if _, f := tab.From(0, 1); f != nil {
		t.Fatal(f)
	}
	dev.FailAt = 5
	if _, f := tab.From(1, 2); f == nil || f.Reason != fault.DeviceRead {
		t.Fatalf("fault %v", f)
	}
	dev.FailAt = 0
	if b, f := tab.From(1, 2); f != nil || !bytes.Equal(b, []byte{3, 4, 5, 6}) {
		t.Fatalf("%v, fault %v", b, f)
	}
}

func TestRepeats(t *testing.T) {
	const entryLen, entries = 8, 2000 // more than two strides
	for _, n := range []int{1, 2, 511, 512, 513, 514, 1024, 1025, entries - 1, entries} {
		b := make([]byte, entries*entryLen)
		if n < entries {
			b[(n+1)*entryLen-1] = 1
		}
		if got := format.Repeats(b, entryLen); got != n {
			t.Errorf("%d, want %d", got, n)
		}
		if got := format.Repeats(b[:n*entryLen], entryLen); got != n {
			t.Errorf("%d of %d", got, n)
		}
	}
}

// sectors fails a test that reads anything but whole sectors.
type sectors struct {
	block.Device
	t *testing.T
}

func (s sectors) Read(reqs []block.Request) *fault.Fault {
	for _, r := range reqs {
		if r.Off%512 != 0 || len(r.Buf)%512 != 0 {
			s.t.Errorf("%d bytes at %d", len(r.Buf), r.Off)
		}
	}
	return s.Device.Read(reqs)
}

// TestTableReadsSectors leaves out entries as a walk of a VHDX leaves out those of bitmaps, some of
// which are the first that is not in memory.
func TestTableReadsSectors(t *testing.T) {
	const entries = 1 << 16
	dev := formattest.Bytes(make([]byte, 8*entries))
	tab := format.Table{Dev: sectors{dev, t}, Buf: dev.Buffer(4096 * 8), EntryLen: 8,
		Limit: entries}
	for i := uint64(0); i < entries; {
		b, f := tab.From(i, 1)
		if f != nil {
			t.Fatal(f)
		}
		n := min(uint64(len(b))/8, 64-i%65)
		if i += n; i%65 == 64 {
			i++
		}
	}
	if dev.Reads > 20 {
		t.Errorf("%d reads", dev.Reads)
	}
}

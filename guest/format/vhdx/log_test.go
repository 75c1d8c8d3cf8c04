package vhdx_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"testing"

	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/vhdx"
	"instarfs/guest/format/vhdx/vhdxtest"
	"instarfs/guest/img"
)

const logGUID = "0123456789abcdef"

// rewrite is a clean image, and a copy in which a log repairs parts of the metadata, which are
// garbage.
type rewrite struct {
	*rand.Rand
	v     *vhdxtest.Image
	clean *formattest.Sparse
	dirty *formattest.Sparse
}

// newRewrite copies the clean image that v built.
func newRewrite(rng *rand.Rand, build func() *vhdxtest.Image) *rewrite {
	v, again := build(), build()
	return &rewrite{rng, v, v.File(), again.File()}
}

// sectors are the file offsets of the sectors of metadata that matter.
func (r *rewrite) sectors() (list []uint64) {
	add := func(off, n uint64) {
		for ; n > 0; n-- {
			list = append(list, off)
			off += 4096
		}
	}
	add(vhdxtest.Regions, 1)
	add(r.v.MetadataOffset(), 1)
	add(r.v.MetadataOffset()+64<<10, 1)
	add(r.v.BATOffset(), 1)
	if e := r.v.BAT[len(r.v.BAT)-1]; e != 0 {
		add(e&^7, 2)
	}
	return list
}

func (r *rewrite) garbage() []byte {
	b := make([]byte, 4096)
	r.Read(b)
	return b
}

// change returns the change that repairs a sector.
func (r *rewrite) change(off uint64) vhdxtest.Change {
	b := r.clean.Bytes(off, 4096)
	if bytes.Equal(b, make([]byte, 4096)) && r.Intn(2) == 0 {
		return vhdxtest.Change{Off: off, Length: 4096}
	}
	return vhdxtest.Change{Off: off, Data: b}
}

// wrong returns a change that a later one must replace.
func (r *rewrite) wrong(off uint64) vhdxtest.Change {
	if r.Intn(3) == 0 {
		return vhdxtest.Change{Off: off &^ 0xffff, Length: 64 << 10}
	}
	return vhdxtest.Change{Off: off, Data: r.garbage()}
}

// entries returns n entries of the log. They spoil sectors and repair them again; the last
// change of each sector repairs it.
func (r *rewrite) entries(first uint64, n int, guid string, right bool) []*vhdxtest.Entry {
	list := make([]*vhdxtest.Entry, n)
	for i := range list {
		list[i] = &vhdxtest.Entry{GUID: guid, Sequence: first + uint64(i)}
	}
	for _, off := range r.sectors() {
		at := r.Intn(n)
		for i, e := range list {
			if i < at && r.Intn(2) == 0 || !right {
				e.Changes = append(e.Changes, r.wrong(off))
			}
		}
	}
	if !right {
		return list
	}
	// The last entry repairs all that was zeroed before.
	last := list[n-1]
	wide := map[uint64]bool{}
	for _, e := range list {
		for _, c := range e.Changes {
			if c.Data == nil {
				wide[c.Off] = true
			}
		}
	}
	for off := range wide {
		for i := uint64(0); i < 16; i++ {
			last.Changes = append(last.Changes, r.change(off+4096*i))
		}
	}
	for _, off := range r.sectors() {
		last.Changes = append(last.Changes, r.change(off))
	}
	return list
}

// put writes entries into the log from byte at on, one after the other. tail is the index of
// the entry that the last one calls its tail.
func (r *rewrite) put(at uint64, tail int, list []*vhdxtest.Entry) (end uint64) {
	starts := make([]uint64, len(list))
	end = at
	for i, e := range list {
		starts[i] = end
		end = (end + uint64(len(e.Bytes()))) % uint64(r.v.LogLength)
	}
	for i, e := range list {
		e.Tail = uint32(starts[min(i, tail)])
		e.Flushed, e.Last = r.clean.Size, r.clean.Size
		r.v.PutLog(r.dirty, starts[i], e.Bytes())
	}
	return end
}

// spoil puts garbage where the log writes.
func (r *rewrite) spoil() {
	for _, off := range r.sectors() {
		if r.Intn(3) > 0 {
			r.dirty.Put(off, r.garbage())
		}
	}
}

func small(rng *rand.Rand) func() *vhdxtest.Image {
	seed := rng.Int63()
	return func() *vhdxtest.Image {
		for i := int64(0); ; i++ {
			v := randomBAT(rand.New(rand.NewSource(seed+i)), false)
			if v.Size > 0 {
				v.LogGUID = logGUID
				return v
			}
		}
	}
}

// TestReplay maps images whose log repairs garbage in the file like the clean images. To qemu
// they need repair.
func TestReplay(t *testing.T) {
	for seed := range int64(120) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewSource(seed))
			r := newRewrite(rng, small(rng))
			r.spoil()
			n := 1 + rng.Intn(4)
			at := uint64(rng.Intn(int(r.v.LogLength)/4096)) * 4096
			number := 100 + uint64(rng.Intn(3))<<32
			// An earlier sequence, which is older or incomplete.
			stale := (at + uint64(r.v.LogLength)/2) % uint64(r.v.LogLength)
			switch rng.Intn(4) {
			case 0:
				r.put(stale, 0, r.entries(number-50, 2, logGUID, false))
			case 1:
				r.put(stale, 0, r.entries(number+50, 2, "another log's id", false))
			case 2:
				end := r.put(stale, 0, r.entries(number+50, 1, logGUID, false))
				torn := (end + uint64(r.v.LogLength) - 4096) % uint64(r.v.LogLength)
				r.dirty.Put(vhdxtest.Log+torn+9, []byte{1, 2, 3})
			}
			// An entry that was written back already, before the tail.
			list := r.entries(number, n, logGUID, true)
			tail := 0
			if rng.Intn(2) == 0 {
				list = append(r.entries(number-1, 1, logGUID, false), list...)
				tail = 1
			}
			end := r.put(at, tail, list)
			if rng.Intn(2) == 0 { // an entry that was not completed
				next := r.entries(number+uint64(n), 1, logGUID, false)[0]
				next.Tail = uint32(at)
				b := next.Bytes()
				b[rng.Intn(len(b))] ^= 0x10
				r.v.PutLog(r.dirty, end, b)
			}
			res := agree(t, r.v, r.clean, r.dirty, img.Whole)
			start, length := formattest.RandomWindow(rng, res.Size)
			agree(t, r.v, r.clean, r.dirty, window(start, start+length))
			_, f := walk(t, r.dirty, qemu72, img.Whole)
			if f == nil || f.Reason != fault.VhdxLogDirty && f.Reason != fault.VhdxLogDescriptor {
				t.Errorf("to qemu: fault %v", f)
			}
			if seed%6 == 0 {
				compareRefusal(t, r.dirty, f)
			}
		})
	}
}

// logged returns an image with one block in use, and an entry for its log that removes the
// block.
func logged(change func(e *vhdxtest.Entry)) (*vhdxtest.Image, *formattest.Sparse, *vhdxtest.Entry) {
	v := vhdxtest.New(4*mib, mib, 512)
	v.LogGUID = logGUID
	v.Block(1, vhdxtest.Present)
	s := v.File()
	e := &vhdxtest.Entry{GUID: logGUID, Sequence: 7, Flushed: s.Size, Last: s.Size,
		Changes: []vhdxtest.Change{{Off: v.BATOffset(), Length: 4096},
			{Off: 0, Data: make([]byte, 4096)}}}
	change(e)
	return v, s, e
}

// TestEntries has logs of one entry with one thing wrong, or nothing. replayed reports whether
// our own profile replays it.
func TestEntries(t *testing.T) {
	le := binary.LittleEndian
	none := func(*vhdxtest.Entry) {}
	for _, test := range []struct {
		name     string
		change   func(e *vhdxtest.Entry)
		spoil    func(b []byte) []byte // changes the encoded entry, before its checksum is set
		replayed bool
		own      fault.Reason
	}{
		{"sound", none, nil, true, 0},
		{"no changes", func(e *vhdxtest.Entry) { e.Changes = nil }, nil, false, 0},
		{"number 0", func(e *vhdxtest.Entry) { e.Sequence = 0 }, nil, false, 0},
		{"another log", func(e *vhdxtest.Entry) { e.GUID = "0123456789abcdeX" }, nil, false, 0},
		{"tail elsewhere", func(e *vhdxtest.Entry) { e.Tail = 4096 }, nil, false, 0},
		{"file was larger", func(e *vhdxtest.Entry) { e.Flushed += mib }, nil, false,
			fault.VhdxLogTruncated},
		{"file is to be larger", func(e *vhdxtest.Entry) { e.Last += mib }, nil, true, 0},
		{"signature", none, func(b []byte) []byte { b[0] = 'L'; return b }, false, 0},
		{"length 0", none, func(b []byte) []byte { le.PutUint32(b[8:], 0); return b }, false, 0},
		{"length odd", none, func(b []byte) []byte { le.PutUint32(b[8:], 4097); return b }, false,
			0},
		{"length beyond the log", none, func(b []byte) []byte {
			le.PutUint32(b[8:], mib+4096)
			return b
		}, false, 0},
		{"a sector too many", none, func(b []byte) []byte {
			le.PutUint32(b[8:], uint32(len(b)+4096))
			return append(b, make([]byte, 4096)...)
		}, false, 0},
		{"more descriptors than fit", none,
			func(b []byte) []byte { le.PutUint32(b[24:], 1<<32-1); return b }, false, 0},
		{"descriptor of another entry", none, func(b []byte) []byte { b[64+24]++; return b }, false,
			0},
		{"descriptor's signature", none, func(b []byte) []byte { b[64] = 'Z'; return b }, false, 0},
		{"descriptor's offset", none, func(b []byte) []byte { b[64+16]++; return b }, false, 0},
		{"zero descriptor's length", none, func(b []byte) []byte { b[64+8]++; return b }, false, 0},
		{"data sector's signature", none, func(b []byte) []byte { b[4096]++; return b }, false, 0},
		{"data sector of another entry", none, func(b []byte) []byte { b[4096+4]++; return b },
			false, 0},
		{"data sector torn", none, func(b []byte) []byte { b[8192-1]++; return b }, false, 0},
		{"zeroes far away", func(e *vhdxtest.Entry) {
			e.Changes = append(e.Changes, vhdxtest.Change{Off: 1<<64 - 4096, Length: 1<<64 - 4096},
				vhdxtest.Change{Off: 1 << 62, Length: 1<<64 - 4096}, vhdxtest.Change{Off: 4096})
		}, nil, true, 0},
		{"as many changes as there may be", func(e *vhdxtest.Entry) {
			for len(e.Changes) < 8192 {
				e.Changes = append(e.Changes, vhdxtest.Change{Off: 1 << 30, Length: 4096})
			}
		}, nil, true, 0},
		{"too many changes", func(e *vhdxtest.Entry) {
			for len(e.Changes) < 8193 {
				e.Changes = append(e.Changes, vhdxtest.Change{Off: 1 << 30, Length: 4096})
			}
		}, nil, false, fault.VhdxLogChanges},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, s, e := logged(test.change)
			b := e.Bytes()
			if test.spoil != nil {
				b = test.spoil(b)
				if n := le.Uint32(b[8:]); n != 0 && int(n) <= len(b) {
					vhdxtest.Sum(b[:n])
				} else {
					vhdxtest.Sum(b)
				}
			}
			v.PutLog(s, 0, b)
			res, f := walk(t, s, 0, img.Whole)
			switch {
			case test.own != 0:
				if f == nil || f.Reason != test.own {
					t.Errorf("fault %v", f)
				}
			case f != nil:
				t.Errorf("fault %v", f)
			case (res.Map.Len() == 1) != test.replayed:
				t.Errorf("%d extents", res.Map.Len())
			}
			_, f = walk(t, s, qemu72, img.Whole)
			compareRefusal(t, s, f)
		})
	}
}

// TestLogGrowsFile has a block past the end of the file, in space that the file has by its log.
func TestLogGrowsFile(t *testing.T) {
	v := vhdxtest.New(4*mib, mib, 512)
	v.LogGUID = logGUID
	v.Block(0, vhdxtest.Present)
	s := v.File()
	size := s.Size
	bat := make([]byte, 4096)
	binary.LittleEndian.PutUint64(bat[8:], size|vhdxtest.Present)
	e := &vhdxtest.Entry{GUID: logGUID, Sequence: 7, Flushed: size, Last: size + mib,
		Changes: []vhdxtest.Change{{Off: v.BATOffset(), Data: bat}}}
	v.PutLog(s, 0, e.Bytes())
	res, f := walk(t, s, 0, img.Whole)
	if f != nil {
		t.Fatal(f)
	}
	same(t, "grown", res, []piece{{mib, 0, 0}, {mib, data, size}, {2 * mib, 0, 0}})
	e.Last = size
	v.PutLog(s, 0, e.Bytes())
	if f := first(walk(t, s, 0, img.Whole)); f == nil || f.Reason != fault.VhdxBlockStart {
		t.Errorf("fault %v", f)
	}
}

// TestHostileLogs end, and cost little.
func TestHostileLogs(t *testing.T) {
	// Each sector is the header of an entry as long as the log, and none is valid.
	whole := &vhdxtest.Entry{GUID: logGUID, Sequence: 7}
	b := whole.Bytes()
	binary.LittleEndian.PutUint32(b[8:], mib)
	for _, qemu := range []img.Release{0, qemu72} {
		v := vhdxtest.New(4*mib, mib, 512)
		v.LogGUID = logGUID
		s := v.File()
		for at := uint64(0); at < mib; at += 4096 {
			v.PutLog(s, at, b)
		}
		dev := s.Device()
		_, f, err := formattest.Run(&vhdx.Driver, &format.Params{Dev: dev, Release: qemu},
			img.Whole)
		// Entries whose whole content is checked cannot overlap. qemu loops forever.
		if err != nil || (f == nil) != (qemu == 0) || f != nil && f.Reason != fault.VhdxLogWork {
			t.Errorf("for %#x: %v %v", qemu, f, err)
		}
		if dev.Bytes > 3*mib {
			t.Errorf("for %#x: %d bytes read", qemu, dev.Bytes)
		}
	}
	// A log of 64 MiB, which does not fit in memory, with entries that cross the ends of pieces
	// and of the log.
	rng := rand.New(rand.NewSource(1))
	build := small(rng)
	r := newRewrite(rng, func() *vhdxtest.Image {
		v := build()
		v.LogLength = 64 * mib
		return v
	})
	r.spoil()
	r.put(64*mib-8*4096, 0, r.entries(9, 3, logGUID, true))
	agree(t, r.v, r.clean, r.dirty, img.Whole)
}

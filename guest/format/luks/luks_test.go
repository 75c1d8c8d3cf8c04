package luks_test

import (
	"encoding/binary"
	"encoding/json"
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/luks"
	"instarfs/guest/format/luks/lukstest"
	"instarfs/guest/img"
)

const (
	qemu      = 7<<16 | 2
	encrypted = extent.Present | extent.Data | extent.Encrypted
	data      = extent.Present | extent.Data | extent.Offset
)

func v1(payload uint32, size int) []byte {
	b := make([]byte, size)
	copy(b, "LUKS\xba\xbe\x00\x01")
	binary.BigEndian.PutUint32(b[104:], payload)
	return b
}

func e(start, length, offset uint64, f extent.Flags) extent.Extent {
	return extent.Extent{Start: start, Length: length, Offset: offset,
		State: extent.State{Flags: f}}
}

// v2 is a container of 20000 bytes with these segments.
func v2(segments string) []byte { return lukstest.WithJSON(`{"segments":{`+segments+`}}`, 20000) }

func set(b []byte, at int, to ...byte) []byte {
	copy(b[at:], to)
	return b
}

func TestVectors(t *testing.T) {
	const notJSON = "the metadata is not JSON as LUKS2 has it"
	const noGood = "segment 7 has no good offset or size, or another has its number"
	seg := func(kind, offset, size, more string) string {
		return `"7":{"type":"` + kind + `","offset":"` + offset + `","size":"` + size + `"` + more +
			`}`
	}
	many := strings.Repeat(`"1":{"type":"crypt","offset":"16384","size":"512"},`, 65)
	for _, v := range []formattest.Vector{
		{Name: "version 1", Image: v1(8, 9000),
			Want: []extent.Extent{e(0, 9216-4096, 0, encrypted)}},
		{Name: "version 1, qemu", Image: v1(8, 9000), Qemu: qemu,
			Fault: "Parameter 'key-secret' is required for cipher"},
		{Name: "empty, qemu", Qemu: qemu, Fault: "Parameter 'key-secret' is required for cipher"},
		{Name: "backup of a header", Image: v1(8, 4096)},
		{Name: "detached header", Image: v1(0, 4096),
			Fault: "the data starts at 0 of 4096 bytes: it lies in another file, or the file " +
				"was cut"},
		{Name: "cut", Image: v1(9, 4096),
			Fault: "the data starts at 4608 of 4096 bytes: it lies in another file, or the " +
				"file was cut"},
		{Name: "magic", Image: set(v1(8, 9000), 0, 'l'), Fault: "Volume is not in LUKS format"},
		{Name: "empty", Fault: "Volume is not in LUKS format"},
		{Name: "version 3", Image: set(v1(8, 9000), 7, 3),
			Fault: "LUKS version 3 is not supported"},
		{Name: "hdr_size 0", Image: set(v2(""), 14, 0),
			Fault: "a header of 0 bytes is none of 16 KiB to 4 MiB"},
		{Name: "hdr_size", Image: set(v2(""), 8, 1),
			Fault: "a header of 72057594037944320 bytes is none of 16 KiB to 4 MiB"},

		{Name: "dynamic", Image: v2(seg("crypt", "16384", "dynamic", "")),
			Want: []extent.Extent{e(0, 3*512+2048+512, 0, encrypted)}},
		{Name: "fixed", Image: v2(seg("crypt", "17408", "1024", "")),
			Want: []extent.Extent{e(0, 1024, 0, encrypted)}},
		{Name: "linear", Image: v2(seg("linear", "17408", "1024", `,"flags":["in-reencryption"]`)),
			Want: []extent.Extent{e(0, 1024, 17408, data)}},
		{Name: "two, and a backup", Image: v2(
			`"10":{"offset":"16384","type":"crypt","size":"dynamic"},` +
				`"9":{"type":"crypt","offset":"1024","size":"dynamic",` +
				`"flags":["backup-previous"]},` +
				seg("linear", "17408", "512", "")),
			Want: []extent.Extent{e(0, 512, 17408, data), e(512, 4096, 0, encrypted)}},
		{Name: "only a backup", Image: v2(seg("crypt", "16384", "dynamic",
			`,"flags":["backup-final"]`)), Fault: "no segment holds data"},
		{Name: "none", Image: v2(""), Fault: "no segment holds data"},
		{Name: "no segments", Image: lukstest.WithJSON(`{}`, 20000),
			Fault: "no segment holds data"},
		{Name: "too many", Image: v2(many[:len(many)-1]), Fault: "more than 64 segments"},
		{Name: "type", Image: v2(seg("verity", "16384", "512", "")),
			Fault: "segment 7 has an unknown type"},
		{Name: "detached header of version 2", Image: v2(seg("crypt", "0", "dynamic", "")),
			Fault: "the data starts at 0 of 20480 bytes: it lies in another file, or the file " +
				"was cut"},
		{Name: "cut, version 2", Image: v2(seg("crypt", "20992", "dynamic", "")),
			Fault: "the data starts at 20992 of 20480 bytes: it lies in another file, or the " +
				"file was cut"},
		{Name: "unaligned", Image: v2(seg("crypt", "16385", "512", "")), Fault: noGood},
		{Name: "unaligned size", Image: v2(seg("crypt", "16384", "513", "")), Fault: noGood},
		{Name: "negative", Image: v2(seg("crypt", "-512", "512", "")), Fault: noGood},
		{Name: "far away", Image: v2(seg("linear", "9223372036854775808", "512", "")),
			Fault: noGood},
		{Name: "2^64", Image: v2(seg("crypt", "16384", "18446744073709551616", "")), Fault: noGood},
		{Name: "no size", Image: v2(`"7":{"type":"crypt","offset":"512"}`), Fault: noGood},
		{Name: "size is a number", Image: v2(`"7":{"type":"crypt","offset":"512","size":512}`),
			Fault: noGood},
		{Name: "twice", Image: v2(seg("crypt", "16384", "512", "") + "," +
			seg("crypt", "16384", "512", "")), Fault: noGood},
		{Name: "dynamic before another", Image: v2(seg("crypt", "16384", "dynamic", "") +
			`,"8":{"type":"crypt","offset":"512","size":"512"}`), Fault: noGood},
		{Name: "too large", Image: v2(seg("crypt", "0", "8223372036854775808", "") +
			`,"8":{"type":"crypt","offset":"0","size":"8223372036854775808"}`),
			Fault: "the disk is larger than 2^63 bytes"},
		{Name: "no JSON", Image: lukstest.WithJSON("", 20000), Fault: notJSON},
		{Name: "cut JSON", Image: lukstest.WithJSON(`{"segments":{"0":{"type":"crypt`, 20000),
			Fault: notJSON},
		{Name: "no comma", Image: lukstest.WithJSON(`{"a":1 "segments":{}}`, 20000),
			Fault: notJSON},
		{Name: "no colon", Image: lukstest.WithJSON(`{"segments"{}}`, 20000), Fault: notJSON},
		{Name: "no value", Image: lukstest.WithJSON(`{"a":,"segments":{}}`, 20000), Fault: notJSON},
		{Name: "number of a segment", Image: v2(`"x":{}`), Fault: notJSON},
		{Name: "deep", Image: lukstest.WithJSON(`{"a":`+strings.Repeat("[", 5000), 20000),
			Fault: notJSON},
		{Name: "as deep as can be", Image: lukstest.WithJSON(`{"a":`+strings.Repeat("[",
			15)+strings.Repeat("]", 15)+`,"segments":{`+
			seg("crypt", "17408", "1024", "")+"}}", 20000),
			Want: []extent.Extent{e(0, 1024, 0, encrypted)}},
		{Name: "escapes", Image: lukstest.WithJSON(`{"a\\":"\"\\","segments":{`+seg("crypt",
			"17408", "1024", `,"b":"\\\"}"`)+"}}", 20000),
			Want: []extent.Extent{e(0, 1024, 0, encrypted)}},
	} {
		v.Check(t, &luks.Driver)
	}
}

// TestModel compares with the segments that encoding/json finds in the JSON area.
func TestModel(t *testing.T) {
	sound := 0
	for seed := range int64(300) {
		rng := rand.New(rand.NewSource(seed))
		b := lukstest.Random(rng)
		r := formattest.Properties(t, &luks.Driver, b, 0, rng.Uint64(), rng.Uint64(), true)
		if b[7] == 1 || r == nil {
			continue
		}
		sound++
		var meta struct {
			Segments map[string]struct {
				Type, Offset, Size string
				Flags              []string
			}
		}
		area, _, _ := strings.Cut(string(b[4096:16384]), "\x00")
		if err := json.Unmarshal([]byte(area), &meta); err != nil {
			t.Fatal(err)
		}
		at := uint64(0)
		for i := range 10 {
			s, ok := meta.Segments[strconv.Itoa(i)]
			if !ok || len(s.Flags) == 2 {
				continue
			}
			from, _ := strconv.ParseUint(s.Offset, 10, 64)
			length, err := strconv.ParseUint(s.Size, 10, 64)
			if err != nil {
				length = uint64(len(b)+511)&^511 - from
			}
			for range min(length, 100) {
				off := at + uint64(rng.Int63n(int64(length)))
				got := r.Map.At(r.Map.Find(off))
				if want := s.Type == "linear"; (got.Flags == data) != want ||
					(got.Flags == encrypted) == want || want &&
					got.Offset+off-got.Start != from+off-at {
					t.Fatalf("seed %d: byte %d: %+v, segment %+v", seed, off, got, s)
				}
			}
			at += length
		}
		if at != r.Size {
			t.Fatalf("seed %d: %d bytes, want %d", seed, r.Size, at)
		}
	}
	if sound < 50 {
		t.Errorf("only %d sound containers of version 2", sound)
	}
}

// TestProbe checks that a probe does not find version 2.
func TestProbe(t *testing.T) {
	for v, want := range []int{0, format.Certain, 0, 0} {
		if got := luks.Driver.Probe((*[format.HeadLen]byte)(set(v1(8, 512), 7, byte(v))), 512,
			false); got != want {
			t.Errorf("version %d scores %d", v, got)
		}
	}
}

// TestLargeJSON checks that the JSON area is read in steps, and once.
func TestLargeJSON(t *testing.T) {
	b := make([]byte, 5<<20)
	copy(b, lukstest.WithJSON(`{"x":"`, 20000))
	binary.BigEndian.PutUint64(b[8:], 4<<20)
	for i := 4096 + 6; i < 4<<20; i++ {
		b[i] = 'x'
	}
	end := `","segments":{"0":{"type":"crypt","offset":"4194304","size":"dynamic"}}}`
	copy(b[4<<20-len(end):], end)
	dev := formattest.Bytes(b)
	r, f, err := formattest.Run(&luks.Driver, &format.Params{Dev: dev}, img.Whole)
	if f != nil || err != nil || r.Size != 1<<20 {
		t.Fatal(r, f, err)
	}
	if at, twice := dev.ReadTwice(); twice {
		t.Errorf("byte %d is read twice", at)
	}
}

func TestDeviceFails(t *testing.T) {
	for _, at := range []uint64{1, 4100} {
		dev := formattest.Bytes(v2(""))
		dev.FailAt = at
		_, f, err := formattest.Run(&luks.Driver, &format.Params{Dev: dev}, img.Whole)
		if err != nil || f == nil || f.Reason != fault.DeviceRead {
			t.Errorf("byte %d: %v %v", at, f, err)
		}
	}
}

// FuzzLuks walks arbitrary bytes.
func FuzzLuks(f *testing.F) {
	for seed := range int64(12) {
		b := lukstest.Random(rand.New(rand.NewSource(seed)))
		f.Add(b[:min(len(b), 17000)], uint64(seed)<<10, uint64(1)<<20)
	}
	f.Fuzz(func(t *testing.T, b []byte, start, length uint64) {
		formattest.Properties(t, &luks.Driver, b, 0, start, length, true)
	})
}

// FuzzLuksJSON puts arbitrary bytes into the JSON area.
func FuzzLuksJSON(f *testing.F) {
	f.Add(`{"segments":{"0":{"type":"crypt","offset":"16384","size":"dynamic",` +
		`"flags":["backup-x",1]}}}`)
	f.Add(`{"a":[1,{}],"b":{"c\"":null},"segments":{` +
		`"0":{"type":"linear","offset":"16384","size":"512"},` +
		`"1":{"type":"crypt","offset":"512","size":"512"}}}`)
	f.Fuzz(func(t *testing.T, json string) {
		formattest.Properties(t, &luks.Driver, lukstest.WithJSON(json, 20000), 0, 700, 5000, true)
	})
}

package abi

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

// The bytes below are the ABI of version 2. When one of these tests fails, a byte has changed its
// meaning: give Version the next number, and only then change the bytes here.
const goldenVersion = 2

// unhex reads bytes that are written with blanks between the fields.
func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVersion(t *testing.T) {
	if Version != goldenVersion {
		t.Fatalf("version %d has no golden bytes", Version)
	}
}

func goldenConfig() Config {
	return Config{
		Flags: FlagDmgName, SectorSize: 4096,
		Window: img.Window{Start: 0x0102030405060708, End: 0x1112131415161718},
		Format: 2, DeviceSize: 0x2122232425262728, Allocated: 0x3132333435363738,
		Release: img.NewRelease(8, 2), Mirror: 0xa5,
	}
}

const configBytes = `5f50414d 01000000 00100000 01000000 0807060504030201 1817161514131211
	02000000 02000000 2827262524232221 3837363534333231 02000800 a5000000`

func TestConfigBytes(t *testing.T) {
	want := unhex(t, configBytes)
	got := bytes.Repeat([]byte{0xee}, ConfigLen+1)
	c := goldenConfig()
	c.Encode(got)
	if !bytes.Equal(got[:ConfigLen], want) || got[ConfigLen] != 0xee {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	if d, err := DecodeConfig(want); err != nil || d != c {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestRecordBytes(t *testing.T) {
	want := unhex(t, "0807060504030201 1817161514131211 2827262524232221 0d000000 02010000")
	e := extent.Extent{Start: 0x0102030405060708, Length: 0x1112131415161718,
		Offset: 0x2122232425262728}
	e.Flags, e.File = extent.Present|extent.Data|extent.Offset, 0x102
	got := make([]byte, RecordLen)
	PutRecord(got, e)
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	if back, ok := Record(want); !ok || back != e {
		t.Errorf("%+v, %v", back, ok)
	}
}

// TestFlagBytes: the bits of extents cross the boundary, so they are part of the ABI.
func TestFlagBytes(t *testing.T) {
	for i, f := range []extent.Flags{
		extent.Present, extent.Zero, extent.Data, extent.Offset, extent.Compressed,
		extent.Encrypted, extent.Holes,
		extent.Bare, extent.Bad, extent.BadAhead,
	} {
		if f != 1<<i {
			t.Errorf("flag %d is %#x", i, f)
		}
	}
	if extent.All != 1<<10-1 {
		t.Errorf("%#x are all flags", extent.All)
	}
}

func goldenResult() *Result {
	return &Result{
		Format: 2, Extents: 0x0102030405060708, VirtualSize: 0x1112131415161718,
		Error: fault.Corrupt,
		Faults: []RoleFault{
			{RoleRun, &fault.Fault{Reason: fault.Qcow2Magic, Offset: 0x2122232425262728,
				Args: [3]uint64{1, 2, 3}, Text: "abc"}},
			{RoleWarn, &fault.Fault{Reason: fault.DeviceRead, Offset: 4}},
		},
		References: []img.Reference{{Kind: 1, Name: "base", Format: "raw"},
			{Kind: 2, Name: "data"}},
	}
}

func TestResultBytes(t *testing.T) {
	want := make([]byte, ResultLen)
	copy(want, unhex(t,
		"5352504d 02000000 0807060504030201 1817161514131211 05000000 02000000 02000000 0e000000"))
	copy(want[64:], unhex(t, `01000000 00010000 2827262524232221 0100000000000000 0200000000000000 0300000000000000
		00000000 03000000`))
	copy(want[128:], unhex(t, `03000000 01000000 0400000000000000 0000000000000000 0000000000000000 0000000000000000
		03000000 00000000`))
	copy(want[0xc0:], unhex(t, "01000000 00000000 03000000 04000000 07000000 03000000"))
	copy(want[0xe0:], unhex(t, "02000000 00000000 0a000000 04000000 0e000000 00000000"))
	copy(want[0x100:], "abcbaserawdata")
	got := make([]byte, ResultLen)
	r := goldenResult()
	if n, err := r.Encode(got); n != 0x100+len("abcbaserawdata") || err != nil {
		t.Fatal(n, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("byte %#x is %#x, want %#x", i, got[i], want[i])
		}
	}
	r.Faults[0].Before = []*fault.Fault{r.Faults[1].Fault} // of a run that failed
	if back, err := DecodeResult(want); err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("%+v, %v", back, err)
	}
}

// TestReasonNumbers: numbers of reasons cross the boundary.
func TestReasonNumbers(t *testing.T) {
	for r, want := range map[fault.Reason]int{
		fault.None: 0, fault.DeviceRead: 1, fault.DeviceTooLarge: 2, fault.UnknownFormat: 3,
		fault.BadConfig: 4, fault.TooManyReferences: 5, fault.NoMemory: 6, fault.RawTooLarge: 128,
		fault.Qcow2Magic: 256,
	} {
		if int(r) != want {
			t.Errorf("reason %d was %d", r, want)
		}
	}
	for c, want := range map[fault.Class]uint32{
		fault.OK: 0, fault.InvalidSource: 1, fault.InvalidOption: 2, fault.HasBacking: 3,
		fault.IO: 4, fault.Corrupt: 5,
		fault.Unsupported: 6, fault.LimitExceeded: 7, fault.NeedsKey: 8,
	} {
		if uint32(c) != want {
			t.Errorf("class %d was %d", c, want)
		}
	}
}

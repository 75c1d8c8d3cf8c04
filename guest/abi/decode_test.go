package abi

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
)

func TestDecodeConfigRefuses(t *testing.T) {
	le := binary.LittleEndian
	tests := []struct {
		name string
		lie  func(b []byte)
		want error
	}{
		{"magic", func(b []byte) { b[3]++ }, ErrConfigMagic},
		{"version", func(b []byte) { le.PutUint32(b[32:], Version+1) }, ErrConfigVersion},
		{"flag", func(b []byte) { le.PutUint32(b[4:], 4) }, ErrConfigField},
		{"no device", func(b []byte) { le.PutUint32(b[12:], 0) }, ErrConfigField},
		{"two devices", func(b []byte) { le.PutUint32(b[12:], 2) }, ErrConfigField},
		{"sector size", func(b []byte) { le.PutUint32(b[8:], 513) }, ErrConfigField},
		{"mirror", func(b []byte) { le.PutUint32(b[60:], 1<<MirrorPieces) }, ErrConfigField},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := unhex(t, configBytes)
			test.lie(b)
			if _, err := DecodeConfig(b); !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
		})
	}
	if _, err := DecodeConfig(unhex(t, configBytes)[:ConfigLen-1]); !errors.Is(err,
		ErrConfigMagic) {
		t.Error("a short one:", err)
	}
}

func TestSectorSizeValid(t *testing.T) {
	good := map[uint32]bool{512: true, 1024: true, 2048: true, 4096: true, 8192: true, 16384: true,
		32768: true, 65536: true}
	for _, n := range []uint32{0, 1, 256, 511, 513, 1000, 4095, 65535, 65537, 131072, 1 << 31,
		math.MaxUint32} {
		if SectorSizeValid(n) {
			t.Error(n)
		}
	}
	for n := range good {
		if !SectorSizeValid(n) {
			t.Error(n)
		}
	}
}

func TestRecordRefuses(t *testing.T) {
	le := binary.LittleEndian
	for _, test := range []struct {
		flags, file uint32
		ok          bool
	}{
		{uint32(extent.All), 0xffff, true}, {uint32(extent.All) + 1, 0, false}, {1 << 16, 0, false},
		{1 << 31, 0, false},
		{0, 1 << 16, false}, {0, math.MaxUint32, false},
	} {
		b := make([]byte, RecordLen)
		le.PutUint32(b[24:], test.flags)
		le.PutUint32(b[28:], test.file)
		if _, ok := Record(b); ok != test.ok {
			t.Errorf("flags %#x, file %#x: %v", test.flags, test.file, ok)
		}
	}
}

func TestDecodeResultRefuses(t *testing.T) {
	le := binary.LittleEndian
	const secondFault, firstReference = resultHeaderLen + faultLen, resultHeaderLen + 2*faultLen
	tests := []struct {
		name string
		at   int
		v    uint32
		want error
	}{
		{"magic", 0, 0, ErrResultMagic},
		{"error", 24, uint32(fault.NeedsKey) + 1, ErrResultCodes},
		{"faults", 28, MaxFaults + 1, ErrResultCounts},
		{"references", 32, MaxReferences + 1, ErrResultCounts},
		{"text", 36, TextLen + 1, ErrResultCounts},
		{"no role", resultHeaderLen, 0, ErrResultCodes},
		{"role", resultHeaderLen, uint32(RoleRefuse) + 1, ErrResultCodes},
		{"no reason", resultHeaderLen + 4, 0, ErrResultCodes},
		{"reason", resultHeaderLen + 4, 0xffff, ErrResultCodes},
		{"wide reason", resultHeaderLen + 4, 0x10001, ErrResultCodes},
		{"text of a fault is longer than all text", resultHeaderLen + 44, 15, ErrResultText},
		{"text of a fault is very long", resultHeaderLen + 44, math.MaxUint32, ErrResultText},
		{"texts overlap", secondFault + 40, 0, ErrResultText},
		{"texts leave a gap", firstReference + 8, 4, ErrResultText},
		{"text far away", firstReference + 16, math.MaxUint32, ErrResultText},
		{"more text than claimed", 36, 13, ErrResultText},
		{"more faults than there are", 28, 3, ErrResultCodes},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := make([]byte, ResultLen)
			if _, err := goldenResult().Encode(b); err != nil {
				t.Fatal(err)
			}
			le.PutUint32(b[test.at:], test.v)
			if r, err := DecodeResult(b); !errors.Is(err, test.want) || r != nil {
				t.Errorf("%+v, %v, want %v", r, err, test.want)
			}
		})
	}
	if _, err := DecodeResult(nil); !errors.Is(err, ErrResultMagic) {
		t.Error(err)
	}
	whole := make([]byte, ResultLen)
	n, err := goldenResult().Encode(whole)
	if err != nil {
		t.Fatal(err)
	}
	for i := resultHeaderLen; i < n; i++ {
		if _, err := DecodeResult(whole[:i]); !errors.Is(err, ErrResultShort) {
			t.Errorf("%d of %d bytes: %v", i, n, err)
		}
	}
	if _, err := DecodeResult(whole[:n]); err != nil {
		t.Error(err)
	}
	b := make([]byte, ResultLen)
	long := Result{Faults: []RoleFault{{RoleWarn,
		&fault.Fault{Reason: 1, Text: strings.Repeat("x", fault.MaxText+1)}}}}
	if _, err := long.Encode(b); err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeResult(b); !errors.Is(err, ErrResultText) {
		t.Error("text beyond fault.MaxText:", err)
	}
}

func TestEncodeResultRefuses(t *testing.T) {
	b := make([]byte, ResultLen)
	text := strings.Repeat("x", TextLen)
	full := Result{References: []img.Reference{{Kind: 1, Name: text}}}
	if _, err := full.Encode(b); err != nil {
		t.Fatal("a result that fits exactly:", err)
	}
	if r, err := DecodeResult(b); err != nil || r.References[0].Name != text {
		t.Fatal(err)
	}
	for name, r := range map[string]Result{
		"faults":         {Faults: make([]RoleFault, MaxFaults+1)},
		"references":     {References: make([]img.Reference, MaxReferences+1)},
		"text of names":  {References: []img.Reference{{Name: text}, {Name: "x"}}},
		"text of format": {References: []img.Reference{{Name: text, Format: "x"}}},
		"text of faults": {Faults: []RoleFault{{RoleRun, &fault.Fault{Text: text + "x"}}}},
	} {
		if _, err := r.Encode(b); !errors.Is(err, ErrResultFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package options

import (
	"errors"
	"math"
	"testing"
)

func TestParseNumber(t *testing.T) {
	for s, want := range map[string]uint64{
		"0": 0, "1": 1, "08": 8, "010": 10, " 5": 5, "\t\v5": 5, "+5": 5, "1b": 1, "1B": 1,
		"1.0": 1,
		"1.":  1, "1.0b": 1,
		"1k": 1 << 10, "1M": 1 << 20, "1g": 1 << 30, "1T": 1 << 40, "1p": 1 << 50, "1E": 1 << 60,
		"7E":   7 << 60,
		"1.5k": 1536, "0.1k": 102, "0.7k": 717, "0.9999k": 1024, "1.k": 1024, "1.e": 1 << 60,
		"1.5e":       3 << 59,
		"0.0000001k": 0, "1.99999999999999999k": 1024, "7.99999999999999999E": 7 << 60,
		"0x0": 0, "0x200": 512, "0X10": 16, "0x1b": 27, "0x1e": 30, "+0x5": 5,
		"9223372036854775807": math.MaxInt64, "0x7fffffffffffffff": math.MaxInt64,
		"8796093022207M": 8796093022207 << 20,
	} {
		if n, hexSuffix, err := ParseNumber(s, false); n != want || hexSuffix || err != nil {
			t.Errorf("%q: %d, %t, %v; want %d", s, n, hexSuffix, err, want)
		}
	}
	for s, want := range map[string]uint64{"0x1k": 1024, "0x1g": 1 << 30, "0x10K": 1 << 14} {
		if n, hexSuffix, err := ParseNumber(s, false); n != want || !hexSuffix || err != nil {
			t.Errorf("%q: %d, %t, %v; want %d", s, n, hexSuffix, err, want)
		}
	}
	for _, s := range []string{
		"", " ", "+", "-", "k", "5 ", "1k ", "1kb", "1e3", "1E3", "-1", "-0", "-0k", "-0.5k", "--5",
		"+-5", "+ 5", "inf", "nan", "1.5", "1.5b", "1.5x", ".5k", "1..5k", "1.5.k", "1.e1k",
		"0.5e1k",
		"1.0e0k", "1.inf", "0x", "0xk", "0x.8k", "0x1.8k", "0x 5", "00x10", "0x0x5", "-0x5",
		"-0x1ffffffffffffffff", "0x1p3", "0b11", "1_000", "-18446744073709551615",
		"99999999999999999999k", "99999999999999999999 ", "0x1fffffffffffffffffk", "1\x00", "１",
	} {
		if n, _, err := ParseNumber(s, false); !errors.Is(err, ErrNumber) {
			t.Errorf("%q: %d, %v; want %v", s, n, err, ErrNumber)
		}
	}
	for _, s := range []string{
		"9223372036854775808", "18446744073709551616", "-99999999999999999999", "8E", "16E",
		"8796093022208M",
		"0x8000000000000000", "0x1ffffffffffffffff", "0x8000000000000000k",
	} {
		if n, _, err := ParseNumber(s, false); !errors.Is(err, ErrNumberRange) {
			t.Errorf("%q: %d, %v; want %v", s, n, err, ErrNumberRange)
		}
	}
}

// TestParseNumberOfNewReleases: what qemu-img 10.0 and newer understand differently.
func TestParseNumberOfNewReleases(t *testing.T) {
	for s, want := range map[string]uint64{
		".5k": 512, "1.99999999999999999k": 2048, ".9999999999999999999999k": 1024, "1.k": 1024,
	} {
		if n, hexSuffix, err := ParseNumber(s, true); n != want || hexSuffix || err != nil {
			t.Errorf("%q: %d, %t, %v; want %d", s, n, hexSuffix, err, want)
		}
	}
	for s, want := range map[string]error{
		"0x1k": ErrNumber, "0x8000000000000000k": ErrNumber, ".5": ErrNumber, ".k": ErrNumber,
		".": ErrNumber, "-.5k": ErrNumber, "-5k": ErrNumber, "-0x5": ErrNumber, "-1.0": ErrNumber,
		"-5": ErrNumberRange, "-0": ErrNumberRange, "7.99999999999999999E": ErrNumberRange,
		"18446744073709551615.99999999999999999k": ErrNumberRange,
	} {
		if n, _, err := ParseNumber(s, true); !errors.Is(err, want) {
			t.Errorf("%q: %d, %v; want %v", s, n, err, want)
		}
	}
}

func FuzzParseNumber(f *testing.F) {
	f.Add("1.5k")
	f.Add("0x1p3")
	f.Add("-99999999999999999999")
	f.Fuzz(func(t *testing.T, s string) {
		for _, modern := range []bool{false, true} {
			if n, _, err := ParseNumber(s, modern); n > math.MaxInt64 || err != nil && n != 0 {
				t.Fatalf("%q, %t: %d, %v", s, modern, n, err)
			}
		}
	})
}

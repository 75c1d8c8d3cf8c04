package options

import (
	"errors"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// What can be wrong with a number.
var (
	ErrNumber = errors.New("not a number of bytes: use digits, 0x and hexadecimal digits, or a " +
		"decimal number with a suffix of k, M, G, T, P or E")
	ErrNumberRange = errors.New("must be between 0 and " + strconv.FormatInt(math.MaxInt64, 10))
)

// ParseNumber reads a number of bytes, 0 to 2^63-1, the way qemu-img does: a decimal integer, a
// decimal fraction with a suffix, or hexadecimal digits after 0x; the suffix is one letter of
// bkmgtpe in either case and means a power of 1024. Blanks and a plus sign may stand in front. A
// fraction is taken as 64 bits and the product rounded to the nearest byte, half up. hexSuffix
// reports whether a suffix followed hexadecimal digits, which older releases accept with a warning.
// modern is the way of qemu-img 10.0 and newer: no such suffix, no digits needed in front of a
// point, and less than 0 is out of range.
func ParseNumber(s string, modern bool) (n uint64, hexSuffix bool, err error) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(s, "-")
	s = strings.TrimLeft(s[:min(1, len(s))], "+-") + s[min(1, len(s)):]
	digits, hex := span(s, "0123456789"), false
	rest := s[digits:]
	if digits > 0 && strings.Trim(s[:digits], "0") == "" &&
		(strings.HasPrefix(rest, "x") || strings.HasPrefix(rest, "X")) {
		// The digits are read again as hexadecimal, which they are only if 0x is all that stands in
		// front.
		if digits != 1 || negative {
			return 0, false, ErrNumber
		}
		s, hex = rest[1:], true
		digits = span(s, "0123456789abcdefABCDEF")
	}
	pointFirst := modern && !hex && len(s) > 1 && s[0] == '.' && s[1] >= '0' && s[1] <= '9'
	if digits == 0 && !pointFirst {
		return 0, false, ErrNumber
	}
	base := 10
	if hex {
		base = 16
	}
	whole, overflow := strconv.ParseUint("0"+s[:digits], base, 64)
	s = s[digits:]
	switch {
	case overflow != nil && s != "", negative && overflow == nil && !(modern && s == ""):
		return 0, false, ErrNumber
	case overflow != nil, negative:
		return 0, false, ErrNumberRange
	}
	var fraction uint64 // in units of 2^-64
	if !hex && strings.HasPrefix(s, ".") {
		var one bool
		if fraction, one, s = parseFraction(s[1:]); one && modern {
			if whole++; whole == 0 {
				return 0, false, ErrNumberRange
			}
		}
	}
	shift := uint(0)
	if s != "" {
		at := strings.IndexByte("bkmgtpe", s[0]|0x20)
		if at < 0 {
			return 0, false, ErrNumber
		}
		s, shift, hexSuffix = s[1:], uint(at)*10, hex
		if hex && modern {
			return 0, false, ErrNumber
		}
	}
	switch {
	case s != "", shift == 0 && fraction != 0:
		return 0, hexSuffix, ErrNumber
	case shift == 0:
		n = whole
	default:
		high, low := bits.Mul64(fraction, 1<<shift)
		over, product := bits.Mul64(whole, 1<<shift)
		n, carry := bits.Add64(product, high, low>>63)
		if over != 0 || carry != 0 || n > math.MaxInt64 {
			return 0, hexSuffix, ErrNumberRange
		}
		return n, hexSuffix, nil
	}
	if n > math.MaxInt64 {
		return 0, hexSuffix, ErrNumberRange
	}
	return n, hexSuffix, nil
}

// parseFraction reads the digits after a point as a multiple of 2^-64, and returns what follows
// them. No digits are zero. one is a fraction that a double cannot tell from 1, which older
// releases take for 0.
func parseFraction(s string) (fraction uint64, one bool, rest string) {
	n := span(s, "0123456789")
	f, err := strconv.ParseFloat("0."+s[:n]+"0", 64)
	if err != nil || f >= 1 {
		return 0, err == nil, s[n:]
	}
	return uint64(math.Ldexp(f, 64)), false, s[n:]
}

// span is the length of the longest prefix of s made of the given characters.
func span(s, of string) int {
	return len(s) - len(strings.TrimLeft(s, of))
}

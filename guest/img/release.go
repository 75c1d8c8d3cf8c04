package img

import (
	"errors"
	"strconv"
	"strings"
)

// Release is a release of qemu-img whose behaviour is asked for, major<<16 | minor. Zero asks for
// instarfs' own behaviour, which docs/quirks.md describes.
type Release uint32

// NewRelease returns the release major.minor.
func NewRelease(major, minor uint16) Release { return Release(major)<<16 | Release(minor) }

// ParseRelease reads the number of a release, X.Y or X.Y.Z. Releases before 5.1 printed maps in
// another way, which is not reproduced.
func ParseRelease(s string) (Release, error) {
	form := errors.New(strconv.Quote(s) + " is not a version of the form X.Y")
	parts := strings.Split(s, ".")
	if len(parts) != 2 && len(parts) != 3 {
		return 0, form
	}
	var n [3]uint16
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return 0, form
		}
		n[i] = uint16(v)
	}
	r := NewRelease(n[0], n[1])
	if !r.Since(5, 1) {
		return 0, errors.New("qemu-img " + s + " is not reproduced, only 5.1 and newer are")
	}
	return r, nil
}

// IsQemu reports whether the behaviour of a release of qemu-img is asked for, rather than our own.
func (r Release) IsQemu() bool { return r != 0 }

// Since reports whether the behaviour asked for is that of qemu-img major.minor or newer.
func (r Release) Since(major, minor uint16) bool { return r >= NewRelease(major, minor) && r != 0 }

// HasPresent reports whether the JSON has the field "present".
func (r Release) HasPresent() bool { return !r.IsQemu() || r.Since(6, 1) }

// HasCompressed reports whether the JSON has the field "compressed". Where it does not, extents
// that differ in nothing else are one, so a map composed for such a release leaves
// extent.Compressed out.
func (r Release) HasCompressed() bool { return !r.IsQemu() || r.Since(8, 2) }

package render

import (
	"fmt"
	"strconv"
	"strings"
)

// Profile says whose bytes a rendering reproduces. The zero value is instarfs' own, see Default.
type Profile struct {
	major, minor uint16 // of a qemu-img release; 0.0 is instarfs' own
}

// Default is the newest layout of the JSON, and a table that shows every extent.
func Default() Profile { return Profile{} }

// Qemu is the output of a qemu-img release, 5.1 or newer: its fields, and its failure where the table cannot show an extent.
func Qemu(major, minor uint16) Profile { return Profile{major, minor} }

// ParseVersion reads the number of a qemu-img release, X.Y or X.Y.Z, as the profile of that release. Releases before 5.1
// printed the list in another way, which is not reproduced.
func ParseVersion(s string) (Profile, error) {
	parts := strings.Split(s, ".")
	if len(parts) != 2 && len(parts) != 3 {
		return Profile{}, fmt.Errorf("%q is not a version of the form X.Y", s)
	}
	var n [3]uint16
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return Profile{}, fmt.Errorf("%q is not a version of the form X.Y", s)
		}
		n[i] = uint16(v)
	}
	p := Profile{n[0], n[1]}
	if !p.IsQemu() || !p.since(5, 1) {
		return Profile{}, fmt.Errorf("qemu-img %s is not reproduced, only 5.1 and newer are", s)
	}
	return p, nil
}

// IsQemu reports whether p reproduces a qemu-img release.
func (p Profile) IsQemu() bool { return p != Profile{} }

// Release is the release as a number, major<<16 | minor, and 0 for instarfs' own profile.
func (p Profile) Release() uint32 { return uint32(p.major)<<16 | uint32(p.minor) }

// HasCompressed reports whether the JSON tells which extents are compressed. Where it does not, extents that differ in
// nothing else are one, so whoever composes a map for such a profile leaves extent.Compressed out.
func (p Profile) HasCompressed() bool { return p.since(8, 2) }

// hasPresent reports whether the JSON has the field present.
func (p Profile) hasPresent() bool { return p.since(6, 1) }

func (p Profile) since(major, minor uint16) bool {
	return !p.IsQemu() || p.major > major || p.major == major && p.minor >= minor
}

// form is what p means for one view: what does not shape that view is left alike, so that renderings are shared.
func (p Profile) form(v View, cut bool) form {
	if v == JSON {
		return form{view: v, present: p.hasPresent(), compressed: p.HasCompressed(), cut: cut}
	}
	return form{view: v, strict: p.IsQemu()}
}

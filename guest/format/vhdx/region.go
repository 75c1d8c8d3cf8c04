package vhdx

import "strconv"

// region is a part of the file that something occupies. Numbers of the image are taken as they
// are: the end may wrap around, as it does in qemu.
type region struct{ off, length uint64 }

func (r region) end() uint64 { return r.off + r.length }

// addRegion remembers a region. There are as many as the region table has entries, and the log.
func (m *image) addRegion(r region) { m.regions = append(m.regions, r) }

// overlap looks for a region that r overlaps with, the one that was added last first. The text
// is what qemu says of them.
func (m *image) overlap(r region) (text string, overlaps bool) {
	start, end := r.off, r.end()
	for i := len(m.regions) - 1; i >= 0; i-- {
		other := m.regions[i]
		if start >= other.end() || end <= other.off {
			continue
		}
		text = strconv.FormatUint(start, 10) + "-" + strconv.FormatUint(end, 10) + " overlaps with region " +
			strconv.FormatUint(other.off, 10) + "-"
		if other.end() != 0 { // C prints no zero with a precision of none
			text += strconv.FormatUint(other.end(), 10)
		}
		return text, true
	}
	return "", false
}

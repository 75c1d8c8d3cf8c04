package vhdx

import "strconv"

// region is a part of the file that is in use. Its numbers come from the image: the end may
// wrap around, as in qemu.
type region struct{ off, length uint64 }

func (r region) end() uint64 { return r.off + r.length }

// addRegion adds a region. There is one for each entry of the region table, and one for the
// log.
func (m *image) addRegion(r region) { m.regions = append(m.regions, r) }

// overlap looks for a region that r overlaps, starting with the last one added. The text is the
// message of qemu.
func (m *image) overlap(r region) (text string, overlaps bool) {
	start, end := r.off, r.end()
	for i := len(m.regions) - 1; i >= 0; i-- {
		other := m.regions[i]
		if start >= other.end() || end <= other.off {
			continue
		}
		text = strconv.FormatUint(start, 10) + "-" + strconv.FormatUint(end, 10) +
			" overlaps with region " +
			strconv.FormatUint(other.off, 10) + "-"
		if other.end() != 0 { // with a precision of zero, C prints nothing for zero
			text += strconv.FormatUint(other.end(), 10)
		}
		return text, true
	}
	return "", false
}

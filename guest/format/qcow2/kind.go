package qcow2

import "instarfs/guest/extent"

// kind is how a cluster is stored, or a subcluster with extended L2 entries.
type kind uint8

const (
	unallocPlain kind = iota
	unallocAlloc      // has a host offset that does not decide the content
	zeroPlain
	zeroAlloc
	normal
	compressed
	kinds
)

// hasOffset reports whether runs of k need contiguous host offsets.
func (k kind) hasOffset() bool { return k == unallocAlloc || k == zeroAlloc || k == normal }

// setFlags sets the flags of each kind. Encrypted images show no offsets.
func (m *image) setFlags() {
	m.flags = [kinds]extent.Flags{
		unallocAlloc: extent.Offset,
		zeroPlain:    extent.Present | extent.Zero,
		zeroAlloc:    extent.Present | extent.Zero | extent.Offset,
		normal:       extent.Present | extent.Data | extent.Offset,
		compressed:   extent.Present | extent.Data | extent.Compressed,
	}
	if m.crypt != cryptNone {
		m.flags[unallocAlloc] = 0
		m.flags[zeroAlloc] = extent.Present | extent.Zero
		m.flags[normal] = extent.Present | extent.Data | extent.Encrypted
	}
	if m.hasDataFile {
		m.file = 1
	}
}

package main

import "instarfs/guest/format/qcow2/qcow2test"

const (
	clusterBits = 16
	mebibyte    = 1 << 20
)

// samples returns the images of a demonstration, one for each kind of cluster or fault.
func samples() map[string]*qcow2test.Image {
	empty := qcow2test.New(64*mebibyte, clusterBits)

	mixed := qcow2test.New(16*mebibyte+1000*512, clusterBits)
	mixed.Data(0, 4)
	mixed.Zero(8, 4)
	mixed.Compressed(16, 3)
	mixed.Data(32, 2)
	*mixed.Entry(33) |= qcow2test.EntryZero // reads as zeroes, but keeps its host cluster

	extended := qcow2test.New(4*mebibyte, clusterBits)
	extended.ExtendedL2 = true
	extended.Data(0, 2)
	// Eight subclusters of data, sixteen unallocated, eight of zeroes.
	*extended.Bitmap(1) = 0xff00_0000<<32 | 0x0000_00ff
	extended.Zero(8, 2)

	broken := qcow2test.New(8*mebibyte, clusterBits)
	broken.Data(0, 8)
	*broken.Entry(3) |= 0x200 // no cluster starts there

	return map[string]*qcow2test.Image{
		"empty.qcow2":    empty,
		"mixed.qcow2":    mixed,
		"extended.qcow2": extended,
		"broken.qcow2":   broken,
	}
}

// alternating returns an image of n extents: every other cluster is allocated, none adjacent to
// the one before. It has no refcounts, so that readers do not take the missing bytes of its
// clusters for preallocated space.
func alternating(n uint64) *qcow2test.Image {
	q := qcow2test.New(n<<clusterBits, clusterBits)
	q.NoRefcounts = true
	for i := uint64(0); i < n; i += 2 {
		*q.Entry(i) = q.Alloc(1) | qcow2test.EntryCopied
	}
	return q
}

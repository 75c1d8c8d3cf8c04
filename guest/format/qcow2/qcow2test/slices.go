package qcow2test

// Slice is an image of extended L2 entries with one run of allocated clusters up to a cluster whose
// bitmap is invalid.
type Slice struct {
	ClusterBits uint
	Clusters    uint64 // of the disk
	Run         uint64 // clusters in front of the invalid one
	First       uint64 // first cluster of the run
	Partial     bool   // the run starts in the middle of its first cluster
}

// Slices are images of which qemu reads the L2 tables in slices, and images whose run is longer
// than one call of qemu. Where qemu finds the invalid bitmap depends on both.
var Slices = []Slice{
	{14, 4 << 20, 700, 0, false}, // slices of 256 entries
	{14, 4 << 20, 300, 900, true},
	{16, 3 << 20, 255, 0, true},
	{16, 3 << 20, 256, 4096 - 255, false},
	{21, 1 << 12, 1500, 3, true},  // whole tables: calls of INT_MAX bytes
	{21, 1 << 12, 1023, 0, false}, // a call ends one byte before the end of the invalid cluster
	{21, 1 << 12, 1024, 0, false},
	{21, 1 << 12, 2500, 1<<12 - 2600, true}, // three calls
}

// Cluster returns the cluster size in bytes.
func (s Slice) Cluster() uint64 { return 1 << s.ClusterBits }

// Start returns the first byte of the run's first cluster.
func (s Slice) Start() uint64 { return s.First << s.ClusterBits }

// Length returns the number of bytes from Start to one cluster past the invalid one.
func (s Slice) Length() uint64 { return (s.Run + 2) << s.ClusterBits }

// Image builds the image.
func (s Slice) Image() *Image {
	q := New(s.Clusters<<s.ClusterBits, s.ClusterBits)
	q.NoRefcounts, q.ExtendedL2 = true, true
	for i := range s.Run + 1 {
		*q.Entry(s.First + i) = (1<<20 + i) << s.ClusterBits
		*q.Bitmap(s.First + i) = 0xffffffff
	}
	if s.Partial {
		*q.Bitmap(s.First) = 0xffff_0000
	}
	*q.Bitmap(s.First + s.Run) |= 1 << 32
	return q
}

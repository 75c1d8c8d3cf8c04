package fault

import "instarfs/guest/img"

// noProgress is the assertion of qemu that fails when a driver is asked what lies in a part of a
// disk and says nothing of its first byte. Where it stands is Fault.Text, by NoProgress.
const noProgress = "{text}: Assertion `*pnum && QEMU_IS_ALIGNED(*pnum, align) && " +
	"align > offset - aligned_offset' failed."

// badGranularity is the assertion that fails for a dirty bitmap, as noProgress is one.
const badGranularity = "{text}: Assertion `is_power_of_2(granularity) && " +
	"granularity >= BDRV_SECTOR_SIZE' failed."

// BadGranularity makes a fault whose reason is that assertion, in a release of qemu, for a field
// at a device offset.
func BadGranularity(r Reason, release img.Release, off uint64) *Fault {
	if !release.Since(10, 0) {
		return Quoting(r, off, "../../block/dirty-bitmap.c:105: bdrv_create_dirty_bitmap")
	}
	return Quoting(r, off, "block/dirty-bitmap.c:107: bdrv_create_dirty_bitmap")
}

// NoProgress makes a fault whose reason is that assertion, in a release of qemu, at a byte of the
// disk. Lines are those of the releases in Debian: 7.2.22, 10.0.13 and
// 11.1.3.
func NoProgress(r Reason, release img.Release, at uint64) *Fault {
	f := New(r, 0, at)
	switch {
	case !release.Since(10, 0):
		f.Text = "../../block/io.c:2532: bdrv_co_block_status"
	case !release.Since(11, 1):
		f.Text = "block/io.c:2547: bdrv_co_do_block_status"
	default:
		f.Text = "block/io.c:2553: bdrv_co_do_block_status"
	}
	return f
}

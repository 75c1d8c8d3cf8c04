package main

// goal is what a line must reach.
type goal struct {
	line, what string
	unit       string  // of the measured value
	limit      float64 // at least that
	most       bool    // at most that
}

// met reports whether a value reaches the goal.
func (g goal) met(value float64) bool {
	if g.most {
		return value <= g.limit
	}
	return value >= g.limit
}

const (
	timeOfPeer = "times the time"
	asFast     = "times as fast"
)

// The goals, by their lines. The peer is qemu-img map unless a line says otherwise.
var (
	goalE1 = goal{"e1", "`instarfs map` of a small qcow2 as one process, kvm, the guest kept",
		timeOfPeer, 2.2, true}
	goalE2 = goal{"e2", "the same, process", timeOfPeer, 1.8, true}
	goalE3 = goal{"e3", "the same, kvm, the first map of all: nothing is kept", timeOfPeer, 5, true}

	goalAlone = goal{"a", "first read of the map of a small qcow2, alone, by a running program",
		asFast, 7, false}
	goalSweep = goal{"a", "the same, in a sweep over a directory", asFast, 28, false}

	goalB = goal{"b", "first `cat` of the map of 1,048,576 extents", asFast, 13, false}
	goalC = goal{"c", "the same again", asFast, 40, false}
	goalF = goal{"f", "memory of an extent in the cache", "bytes", 20, true}

	goalList      = goal{"d", "`ls` over the maps of 10,000 images, warm", timeOfPeer, 1.5, true}
	goalFind      = goal{"d", "`find -name` over them", timeOfPeer, 1.5, true}
	goalFirstList = goal{"d", "`ls`, the very first", timeOfPeer, 8, true}
	goalLong      = goal{"d", "`ls -l`, first: maps all", "ms an image", 0.35, true}
	goalRateKVM   = goal{"h", "10,000 small images, 8 readers, kvm", "maps a second", 1500, false}
	goalRate      = goal{"h", "the same, process", "maps a second", 1000, false}

	goalOverlays = goal{"g", "`cat` of the maps of 100 overlays of a base of 200,000 extents",
		asFast, 15, false}
	goalOverlaysAgain  = goal{"g", "the same again", asFast, 30, false}
	goalOverlaysMemory = goal{"g", "memory of these maps", "times the base's", 3, true}

	goalWindow = goal{"i", "1 MiB in the middle of a qcow2 of 64 TiB", "times that of 64 GiB", 1.5,
		true}
	goalHoles      = goal{"j", "raw with a million extents", asFast, 5, false}
	goalCompressed = goal{"j", "qcow2 of 40 GB, all compressed", asFast, 5, false}
	goalVMDK       = goal{"j", "VMDK of 2 TiB", asFast, 5, false}
	goalVHDX       = goal{"j", "VHDX of 64 TB, which took 5 times as long before", "ms", 0, true}

	goalMemory = goal{"m", "most memory of a mount after 40 maps of a million extents", "MB over " +
		"the cache of 256 MiB", 150, true}
)

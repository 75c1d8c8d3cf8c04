package abi

import (
	"slices"
	"testing"
)

type area struct {
	name       string
	start, end uint64
}

// disjoint checks that areas lie inside [0, end), in any order, without sharing a byte.
func disjoint(t *testing.T, end uint64, areas ...area) {
	t.Helper()
	slices.SortFunc(areas, func(a, b area) int { return int(int64(a.start) - int64(b.start)) })
	for i, a := range areas {
		if a.start >= a.end || a.end > end {
			t.Errorf("%s is [%#x, %#x) of %#x", a.name, a.start, a.end, end)
		}
		if i > 0 && areas[i-1].end > a.start {
			t.Errorf("%s overlaps %s", areas[i-1].name, a.name)
		}
	}
}

const page = 4096

func TestSharedWindowLayout(t *testing.T) {
	const (
		avail = QueueSize*DescLen + AvailHeaderLen + QueueSize*AvailEntryLen
		queue = avail + 4 + UsedHeaderLen + QueueSize*UsedEntryLen // the used ring is aligned to 4
	)
	disjoint(t, SharedLen,
		area{"config", ConfigOffset, ConfigOffset + ConfigLen},
		area{"result", ResultOffset, ResultOffset + ResultLen},
		area{"ring control", RingControl, RingControl + 8},
		area{"queue", QueueOffset, QueueOffset + QueueLen},
		area{"mirror", MirrorOffset, MirrorOffset + MirrorLen},
		area{"ring", RingOffset, RingOffset + RingLen},
		area{"dma", DMAOffset, DMAOffset + DMALen},
	)
	if queue > QueueLen {
		t.Errorf("the virtqueue takes %d bytes of %d", queue, QueueLen)
	}
	if 3*MaxRequests > QueueSize || QueueSize&(QueueSize-1) != 0 {
		t.Errorf("%d requests of three descriptors in a queue of %d", MaxRequests, QueueSize)
	}
	for name, off := range map[string]uint64{"result": ResultOffset, "ring control": RingControl,
		"queue": QueueOffset, "ring": RingOffset, "dma": DMAOffset} {
		if off%page != 0 {
			t.Errorf("%s is at %#x, inside a page", name, off)
		}
	}
	if MirrorPieceLen > MirrorStride || MirrorPieces > 32 || !SectorSizeValid(MirrorStride) ||
		SectorSizeValid(2*MirrorStride) {
		t.Error("pieces of the mirror overlap, the largest first block among them, or have no " +
			"bit in Config.Mirror")
	}
	if RingLen%RecordLen != 0 || RingRecords&(RingRecords-1) != 0 {
		t.Error("records do not fill the ring, or a free running index does not wrap with it")
	}
}

func TestAddresses(t *testing.T) {
	disjoint(t, 1<<32, area{"ram", 0, RAMLen}, area{"device", DeviceGPA, DeviceGPA + page},
		area{"doorbells", DoorbellGPA, DoorbellGPA + page})
	const lowerHalf = 1 << 47
	disjoint(t, lowerHalf,
		area{"shared", SharedVA, SharedVA + SharedLen},
		area{"device", DeviceVA, DeviceVA + page},
		area{"doorbells", DoorbellVA, DoorbellVA + page})
	if SharedGPA+SharedLen != RAMLen || SharedGPA%page != 0 {
		t.Errorf("the window [%#x, %#x) is not the end of RAM", SharedGPA, SharedGPA+SharedLen)
	}
	if DoorbellGPA-DeviceGPA != DoorbellVA-DeviceVA {
		t.Error("doorbells lie elsewhere for the guest")
	}
	bells := map[uint64]bool{BellSyscall: true, BellReady: true, BellRing: true, BellDone: true}
	if len(bells) != 4 {
		t.Error("doorbells coincide")
	}
	for b := range bells {
		if b%4 != 0 || b >= page {
			t.Errorf("doorbell %#x", b)
		}
	}
}

// TestResultFits checks that a result with the most of everything fits.
func TestResultFits(t *testing.T) {
	if n := textOffset(MaxFaults, MaxReferences) + TextLen; n != ResultLen {
		t.Errorf("%d bytes, want %d", n, ResultLen)
	}
}

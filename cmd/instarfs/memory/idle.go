package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// idleCheck is how often a mount looks whether it is idle.
	idleCheck = 15 * time.Second
	// idleAllocs is how many bytes an idle mount allocates in that time, at most.
	idleAllocs = 16 << 20
	// idleHeap is the heap that an idle mount may keep, bytes. For less, giving memory back and
	// taking it again costs more than it is worth.
	idleHeap = 256 << 20
)

// idle finds out when a mount that was busy has come to rest. The runtime then collects every two
// minutes, and gives memory back so slowly that gigabytes stay for hours.
type idle struct {
	allocs uint64 // bytes allocated ever, as of the last look
	rested bool   // memory was given back since the mount was last busy
}

// due reports whether the memory should be given back now. heap is what the runtime has from the
// system, bytes.
func (i *idle) due(allocs, heap uint64) bool {
	busy := allocs-i.allocs > idleAllocs
	i.allocs = allocs
	switch {
	case busy:
		i.rested = false
		return false
	case i.rested || heap < idleHeap:
		return false
	}
	i.rested = true
	return true
}

// idleMetrics are what was ever allocated, and the parts of the heap that the runtime has from the
// system.
var idleMetrics = []string{
	"/gc/heap/allocs:bytes", "/memory/classes/heap/objects:bytes",
	"/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
}

// GiveBack gives memory back to the system whenever the mount comes to rest, until ctx ends.
func GiveBack(ctx context.Context) {
	tick := time.NewTicker(idleCheck)
	defer tick.Stop()
	samples := make([]metrics.Sample, len(idleMetrics))
	for n, name := range idleMetrics {
		samples[n].Name = name
	}
	var i idle
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(samples)
		heap := uint64(0)
		for _, s := range samples[1:] {
			heap += s.Value.Uint64()
		}
		if i.due(samples[0].Value.Uint64(), heap) {
			debug.FreeOSMemory()
		}
	}
}

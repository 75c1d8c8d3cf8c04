package memory

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// garbage is how many bytes of garbage a large heap may hold before it is collected. The runtime's
// own measure is as much as what is in use: twice the cache of maps.
const garbage = 32 << 20

// BoundGarbage has the heap collected whenever it holds some 32 MiB of garbage, or less of a small
// heap, unless the user has set GOGC. Maps hold no pointers, so that costs next to nothing.
func BoundGarbage() {
	if os.Getenv("GOGC") != "" {
		return
	}
	afterCollection(func() { debug.SetGCPercent(percent(live())) })
}

// afterCollection calls f after each collection of the garbage.
func afterCollection(f func()) {
	type ball struct{ _ [16]byte } // too large to share its memory with others
	runtime.AddCleanup(&ball{}, func(f func()) {
		afterCollection(f) // before f is done, so that no collection after it is missed
		f()
	}, f)
}

// percent is the value of GOGC for a heap of which so many bytes are in use.
func percent(live uint64) int {
	const least, most = 5, 100
	if live == 0 {
		return most
	}
	return int(max(least, min(garbage*100/live, most)))
}

// live is how many bytes of the heap were in use at the last collection.
func live() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

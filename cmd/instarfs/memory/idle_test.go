package memory

import (
	"runtime/metrics"
	"testing"
)

func TestIdle(t *testing.T) {
	const MB = 1 << 20
	var i idle
	for n, look := range []struct {
		allocs, heap uint64
		due          bool
	}{
		{100 * MB, 100 * MB, false}, // busy, from the start on
		{101 * MB, 100 * MB, false}, // idle, and small
		{5000 * MB, 3000 * MB, false}, {9000 * MB, 4000 * MB, false}, {9001 * MB, 4000 * MB, true},
		{9002 * MB, 4000 * MB, false}, // was given back; what is still there is in use
		{9020 * MB, 300 * MB, false}, {9021 * MB, 300 * MB, true}, {9022 * MB, 300 * MB, false},
	} {
		if got := i.due(look.allocs, look.heap); got != look.due {
			t.Errorf("look %d: %v", n, got)
		}
	}
}

// TestMetricsExist: a name that the runtime does not know would read as nothing.
func TestMetricsExist(t *testing.T) {
	known := map[string]bool{}
	for _, d := range metrics.All() {
		known[d.Name] = d.Kind == metrics.KindUint64
	}
	for _, name := range idleMetrics {
		if !known[name] {
			t.Errorf("%s is no metric of this runtime", name)
		}
	}
}

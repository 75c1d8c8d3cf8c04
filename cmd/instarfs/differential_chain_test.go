package main

import (
	"math/rand"
	"testing"

	"instarfs/guest/format/qemutest"
)

// TestDifferentialChains is TestDifferential for chains of up to five layers.
func TestDifferentialChains(t *testing.T) {
	n := differences(t) / 3
	compareRandom(t, n, func(t *testing.T, o *oracle, rng *rand.Rand, _ int) func(*testing.T) {
		top := qemutest.RandomChain(t, rng, o.dir)
		settleAll(t, o.dir)
		return func(t *testing.T) { compareWindows(t, o, rng, top) }
	})
}

package main

import (
	"math/rand"
	"testing"

	"instarfs/guest/format/qemutest"
)

// TestDifferentialVpc is TestDifferential for virtual hard disks: dynamic, fixed, differencing
// and odd, sound, damaged and crafted.
func TestDifferentialVpc(t *testing.T) {
	differBlocks(t, differences(t)/5, func(rng *rand.Rand, dir string) []string {
		fixed := qemutest.RandomVpc(t, rng, dir, "image")
		if fixed || rng.Intn(3) == 0 {
			return []string{"-f", "vpc"}
		}
		return nil
	})
}

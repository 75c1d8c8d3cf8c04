package main

import (
	"math/rand"
	"testing"

	"instarfs/guest/format/qemutest"
)

// TestDifferentialVhdx is TestDifferential for virtual hard disks of version 2: sound, damaged
// and crafted ones, some with logs that need a replay.
func TestDifferentialVhdx(t *testing.T) {
	differBlocks(t, differences(t)/5, func(rng *rand.Rand, dir string) []string {
		qemutest.RandomVhdx(t, rng, dir, "image")
		if rng.Intn(3) == 0 {
			return []string{"-f", "vhdx"}
		}
		return nil
	})
}

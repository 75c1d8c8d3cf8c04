package main

import (
	"fmt"
	"math/rand"
	"testing"

	"instarfs/guest/format/qemutest"
)

// TestDifferentialChains is TestDifferential for chains of up to five layers.
func TestDifferentialChains(t *testing.T) {
	for seed := range differences(t) / 3 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := newOracle(t)
			t.Chdir(o.dir)
			rng := rand.New(rand.NewSource(int64(seed)))
			top := qemutest.RandomChain(t, rng, o.dir)
			settleAll(t, o.dir)
			compareWindows(t, o, rng, top)
		})
	}
}

package main

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qemutest"
)

// TestDifferentialVmdk is TestDifferential for VMDKs: made by qemu-img, sparse files of all
// three kinds full of odd entries, descriptors of such files, chains, and damaged ones.
func TestDifferentialVmdk(t *testing.T) {
	real := walkedTool()
	n := differences(t) / 5
	compareRandom(t, n, func(t *testing.T, o *oracle, rng *rand.Rand, seed int) func(*testing.T) {
		name := "image.vmdk"
		paths := qemutest.RandomVmdk(t, rng, o.dir, name)
		if seed%4 == 3 {
			qemutest.CorruptVmdk(t, rng, paths[rng.Intn(len(paths))])
		}
		return func(t *testing.T) {
			var force []string
			if rng.Intn(4) == 0 {
				force = []string{"-f", "vmdk"}
			}
			o.compareWith(t, real, strings.Join(append(force, "--output=json", name), "\x00"))
			o.compareWith(t, real, strings.Join(append(force, "--output=human", name), "\x00"))
			for range 2 {
				start, length := formattest.RandomWindow(rng, 1<<(9+rng.Intn(14)))
				if rng.Intn(4) == 0 {
					start += 1<<31 - 1<<16 // where disks are split
				}
				output := []string{"--output=json", "--output=human"}[rng.Intn(2)]
				window := append(force, "-s", fmt.Sprint(start), "-l", fmt.Sprint(length), output,
					name)
				o.compareWith(t, real, strings.Join(window, "\x00"))
			}
		}
	})
}

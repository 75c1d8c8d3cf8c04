package main

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qemutest"
)

// TestDifferentialVdi is TestDifferential for images of VirtualBox, dynamic and static, sound,
// damaged and crafted.
func TestDifferentialVdi(t *testing.T) {
	differBlocks(t, differences(t)/5, func(rng *rand.Rand, dir string) []string {
		qemutest.RandomVdi(t, rng, dir, "image")
		if rng.Intn(3) == 0 {
			return []string{"-f", "vdi"}
		}
		return nil
	})
}

// differBlocks compares n random images with the installed qemu-img. makeImage makes the file
// "image" in a directory, and returns the options with which to map it.
func differBlocks(t *testing.T, n int, makeImage func(rng *rand.Rand, dir string) []string) {
	t.Helper()
	compareRandom(t, n, func(t *testing.T, o *oracle, rng *rand.Rand, _ int) func(*testing.T) {
		options := makeImage(rng, o.dir)
		settle(t, "image")
		return func(t *testing.T) {
			start, length := formattest.RandomWindow(rng, 1<<(9+rng.Intn(18)))
			window := []string{"--output=json", "-s", fmt.Sprint(start), "-l", fmt.Sprint(length)}
			for _, args := range [][]string{{"--output=json"}, {"--output=human"}, window} {
				o.compareWith(t, walkedTool(),
					strings.Join(append(append(args, options...), "image"), "\x00"))
			}
		}
	})
}

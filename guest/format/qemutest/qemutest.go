// Package qemutest makes random image files for tests: with the installed qemu-img and qemu-io,
// with the builders of the formats, and damaged. The same seed makes the same image for one
// release of qemu. Only tests import it.
package qemutest

import (
	"fmt"
	"math/rand"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"instarfs/needs"
)

const sectorSize = 512 // bytes

// run runs a tool in dir, and fails the test if the tool fails.
func run(tb testing.TB, dir, name string, args ...string) {
	tb.Helper()
	cmd := exec.Command(needs.QemuTool(tb, name), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// create makes dir/name with qemu-img, and returns its path.
func create(tb testing.TB, dir, name, format string, options []string, size int64) string {
	tb.Helper()
	args := []string{"create", "-q", "-f", format}
	if len(options) > 0 {
		args = append(args, "-o", strings.Join(options, ","))
	}
	run(tb, dir, "qemu-img", append(args, name, fmt.Sprint(size))...)
	return filepath.Join(dir, name)
}

// size returns a size of a disk in bytes, mostly small, sometimes large, and seldom a multiple
// of anything.
func size(rng *rand.Rand, clusterBits uint) int64 {
	clusters := int64(rng.Intn(80))
	if rng.Intn(8) == 0 {
		clusters = int64(rng.Intn(1 << 14))
	}
	n := clusters<<clusterBits + int64(rng.Intn(1<<clusterBits))
	return min(n, 512<<20)
}

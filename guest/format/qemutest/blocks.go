package qemutest

import (
	"fmt"
	"math/rand"
	"os/exec"
	"testing"

	"instarfs/needs"
)

// writeBlocks writes to an image of size bytes whose format has large blocks: in blocks, across
// their boundaries, zeroes, and discards. A command that the format does not support changes
// nothing.
func writeBlocks(tb testing.TB, rng *rand.Rand, path, format string, size, block int64) {
	tb.Helper()
	args := []string{"-f", format, "-d", "unmap"}
	none := len(args)
	for range rng.Intn(10) {
		if size < 512 {
			break
		}
		off := rng.Int63n(size) / 512 * 512
		length := min(512*(1+rng.Int63n(40)), size-off)
		if rng.Intn(3) == 0 {
			off = off / block * block
			length = min(block*(1+rng.Int63n(2)), size-off)
		}
		length = min(length/512*512, 4<<20)
		if length == 0 {
			continue
		}
		verb := "write -P 7"
		switch rng.Intn(6) {
		case 0:
			verb = "write -z"
		case 1:
			verb = "write -z -u"
		case 2:
			verb = "discard"
		}
		args = append(args, "-c", fmt.Sprintf("%s %d %d", verb, off, length))
	}
	if len(args) == none {
		return
	}
	_ = exec.Command(needs.QemuTool(tb, "qemu-io"), append(args, path)...).Run()
}

package qemutest

import (
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/needs"
)

// RandomQcow2 makes dir/name, of any cluster size, version, refcount width, and with clusters
// of any kind. It truncates some images. It returns the path.
func RandomQcow2(tb testing.TB, rng *rand.Rand, dir, name string) string {
	tb.Helper()
	clusterBits := uint(9 + rng.Intn(13))
	options := []string{fmt.Sprintf("cluster_size=%d", 1<<clusterBits)}
	extended, v2 := false, rng.Intn(4) == 0
	if v2 {
		options = append(options, "compat=0.10")
	} else {
		if clusterBits >= 14 && rng.Intn(3) == 0 {
			extended = true
			options = append(options, "extended_l2=on")
		}
		options = append(options, fmt.Sprintf("refcount_bits=%d", 1<<rng.Intn(7)))
		if rng.Intn(4) == 0 {
			options = append(options, "lazy_refcounts=on")
		}
		if rng.Intn(3) == 0 {
			options = append(options, "compression_type=zstd")
		}
	}
	n := size(rng, clusterBits)
	switch rng.Intn(8) {
	case 0:
		options = append(options, "preallocation=metadata")
	case 1:
		options = append(options, "preallocation=falloc")
		n = min(n, 8<<20)
	case 2:
		options = append(options, "preallocation=full")
		n = min(n, 8<<20)
	}
	create(tb, dir, name, "qcow2", options, n)
	path := filepath.Join(dir, name)
	writeQcow2(tb, rng, dir, name, n, 1<<clusterBits, extended)
	if rng.Intn(10) == 0 {
		truncate(tb, rng, path)
	}
	return path
}

// writeQcow2 writes, discards and zeroes parts of an image of n bytes.
func writeQcow2(tb testing.TB, rng *rand.Rand, dir, name string, n, cluster int64, extended bool) {
	tb.Helper()
	if n < 512 {
		return
	}
	unit := cluster
	if extended {
		unit /= 32
	}
	var args []string
	for range rng.Intn(24) {
		off := rng.Int63n(n) / 512 * 512
		length := min(1+rng.Int63n(6*unit), n-off)
		if rng.Intn(3) > 0 { // whole units
			off = off / unit * unit
			length = min((length+unit-1)/unit*unit, n-off)
		}
		length = length / 512 * 512
		if length == 0 {
			continue
		}
		length = min(length, 4<<20)
		var cmd string
		switch rng.Intn(6) {
		case 0, 1, 2:
			cmd = fmt.Sprintf("write -P %d %d %d", rng.Intn(256), off, length)
		case 3:
			cmd = fmt.Sprintf("write -z %d %d", off, length)
		case 4:
			cmd = fmt.Sprintf("discard %d %d", off, length)
		case 5:
			off = off / cluster * cluster
			if off+cluster > n {
				continue
			}
			cmd = fmt.Sprintf("write -c -P %d %d %d", rng.Intn(256), off, cluster)
		}
		args = append(args, "-c", cmd)
	}
	if len(args) == 0 {
		return
	}
	// qemu-io fails if one command fails, as a compressed write over data may. The image stays
	// valid.
	args = append([]string{"-f", "qcow2", "-d", "unmap"}, append(args, name)...)
	cmd := exec.Command(needs.QemuTool(tb, "qemu-io"), args...)
	cmd.Dir = dir
	_ = cmd.Run()
}

// CorruptQcow2 changes a few fields of the image in a file, as qcow2test.Corrupt does.
func CorruptQcow2(tb testing.TB, rng *rand.Rand, path string) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if err := qcow2test.Corrupt(rng, f); err != nil {
		tb.Fatal(err)
	}
}

package qemutest

import (
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"instarfs/guest/format/parallels/parallelstest"
	"instarfs/guest/format/qcow/qcowtest"
	"instarfs/guest/format/qed/qedtest"
	"instarfs/needs"
)

// RandomTables makes dir/name in one of the formats whose map is one or two tables: "qcow",
// "qed" or "parallels". Half of the images are made with qemu-img and qemu-io, the others by
// the builder of the format with entries that no program writes. It reports whether the image
// is one of those.
func RandomTables(tb testing.TB, rng *rand.Rand, dir, name, format string) (crafted bool) {
	tb.Helper()
	if rng.Intn(2) == 0 {
		craft := map[string]func(*rand.Rand) []byte{
			"qcow": qcowtest.Random, "qed": qedtest.Random, "parallels": parallelstest.Random,
		}[format]
		if err := os.WriteFile(filepath.Join(dir, name), craft(rng), 0o666); err != nil {
			tb.Fatal(err)
		}
		return true
	}
	n := int64(rng.Intn(1 << (10 + rng.Intn(16))))
	cluster := int64(4096)
	var options []string
	switch format {
	case "qcow":
		n = max(n, 2)
		if rng.Intn(4) == 0 {
			n = int64(2 + rng.Intn(3000))
		}
	case "qed":
		cluster = 4096 << rng.Intn(6)
		options = []string{fmt.Sprintf("cluster_size=%d,table_size=%d", cluster, 1<<rng.Intn(5))}
		n = n &^ 511
	case "parallels":
		cluster = 512 << rng.Intn(12)
		options = []string{fmt.Sprintf("cluster_size=%d", cluster)}
	}
	create(tb, dir, name, format, options, n)
	writeAny(tb, rng, dir, name, format, n, cluster)
	return false
}

// writeAny writes, discards and zeroes parts of an image of n bytes. A command that the format
// does not support changes nothing.
func writeAny(tb testing.TB, rng *rand.Rand, dir, name, format string, n, cluster int64) {
	tb.Helper()
	args := []string{"-f", format, "-d", "unmap"}
	for range rng.Intn(12) {
		if n < 1024 {
			break
		}
		off := rng.Int63n(n) / 512 * 512
		length := min(1+rng.Int63n(6*cluster), n-off, 1<<20)
		whole := off / cluster * cluster
		command := ""
		switch rng.Intn(6) {
		case 0:
			command = fmt.Sprintf("write -z %d %d", whole, cluster)
		case 1:
			command = fmt.Sprintf("discard %d %d", whole, cluster)
		case 2:
			command = fmt.Sprintf("write -c -P 3 %d %d", whole, cluster)
		default:
			command = fmt.Sprintf("write -P %d %d %d", rng.Intn(256), off, length/512*512)
		}
		args = append(args, "-c", command)
	}
	cmd := exec.Command(needs.QemuTool(tb, "qemu-io"), append(args, name)...)
	cmd.Dir = dir
	_ = cmd.Run()
}

package qemutest

import (
	"fmt"
	"math/rand"
	"testing"
)

// RandomChain makes a chain of one to five layers in dir, and returns the name of its top.
// Overlays are qcow2 or QED, shorter or longer than their backing files. The base may be raw.
// Every layer may have zeroes, discards and extended L2 entries; some have a data file.
func RandomChain(tb testing.TB, rng *rand.Rand, dir string) string {
	tb.Helper()
	name, format := "layer0", "qcow2"
	switch rng.Intn(4) {
	case 0:
		RandomRaw(tb, rng, dir, name)
		format = "raw"
	case 1:
		n := int64(rng.Intn(1 << 23))
		create(tb, dir, name, "qcow2", []string{"data_file=" + name + ".data"}, n)
		writeQcow2(tb, rng, dir, name, n, 65536, false)
	default:
		RandomQcow2(tb, rng, dir, name)
	}
	for i := range rng.Intn(5) {
		over := fmt.Sprintf("layer%d", i+1)
		n := int64(rng.Intn(1 << (12 + rng.Intn(12))))
		args := []string{"create", "-q", "-b", name, "-F", format}
		cluster, extended := int64(1)<<(9+rng.Intn(9)), false
		if rng.Intn(5) == 0 {
			args = append(args, "-f", "qed")
			format, cluster, n = "qed", 65536, n&^511
		} else {
			format = "qcow2"
			options := fmt.Sprintf("cluster_size=%d", cluster)
			if cluster >= 1<<14 && rng.Intn(2) == 0 {
				options += ",extended_l2=on"
				extended = true
			}
			if rng.Intn(6) == 0 {
				options += fmt.Sprintf(",data_file=%s.data", over)
			}
			args = append(args, "-f", "qcow2", "-o", options)
		}
		run(tb, dir, "qemu-img", append(args, over, fmt.Sprint(n))...)
		if format == "qcow2" {
			writeQcow2(tb, rng, dir, over, n, cluster, extended)
		} else {
			writeAny(tb, rng, dir, over, format, n, cluster)
		}
		name = over
	}
	return name
}

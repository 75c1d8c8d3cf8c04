package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os/exec"
	"strings"
	"testing"

	"instarfs/guest/format/formattest"
)

// TestDifferentialVmdk compares the maps of random VMDKs with qemu-img's: what qemu-img makes, sparse files of all three kinds full
// of odd entries, texts that put such files together, chains of them, and any of that damaged.
func TestDifferentialVmdk(t *testing.T) {
	real := walkedTool()
	for seed := range differences(t) / 5 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := newOracle(t)
			t.Chdir(o.dir)
			rng := rand.New(rand.NewSource(int64(seed)))
			name := "image.vmdk"
			paths := formattest.RandomVmdk(t, rng, o.dir, name)
			if seed%4 == 3 {
				formattest.CorruptVmdk(t, rng, paths[rng.Intn(len(paths))])
			}
			var force []string
			if rng.Intn(4) == 0 {
				force = []string{"-f", "vmdk"}
			}
			compareShown(t, o, real, append(force, "--output=json", name))
			compareShown(t, o, real, append(force, "--output=human", name))
			for range 2 {
				start, length := formattest.RandomWindow(rng, 1<<(9+rng.Intn(14)))
				if rng.Intn(4) == 0 {
					start += 1<<31 - 1<<16 // what is split is split there
				}
				output := []string{"--output=json", "--output=human"}[rng.Intn(2)]
				compareShown(t, o, real, append(force, "-s", fmt.Sprint(start), "-l", fmt.Sprint(length), output, name))
			}
		})
	}
}

// compareShown is oracle.compareWith for images whose text messages quote: what is not printable we show as \xHH.
func compareShown(t *testing.T, o *oracle, ours *tool, args []string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("qemu-img", append([]string{"map"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = o.dir, &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, c := range []byte(strings.ReplaceAll(stderr.String(), "qemu-img: ", "instarfs: ")) {
		if c != '\n' && (c < ' ' || c > '~') {
			fmt.Fprintf(&want, `\x%02x`, c)
		} else {
			want.WriteByte(c)
		}
	}
	expectRun(t, ours, append([]string{"map", "--qemu-version", oracleVersion}, args...), cmd.ProcessState.ExitCode(),
		stdout.String(), want.String())
}

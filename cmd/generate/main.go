// Command generate writes sample images into a directory, where it replaces files of the same
// names. Package qcow2test builds them.
//
//	go run ./cmd/generate [-extents N] [-count N] DIR
//
// Without flags it writes one image of each kind:
//
//	sparse.raw      data, holes of the host file, a last sector that is incomplete
//	empty.qcow2     nothing allocated: one extent
//	mixed.qcow2     data, zero and compressed clusters, a zero cluster that keeps its host
//	                cluster; the size is not a multiple of the cluster size
//	extended.qcow2  extended L2 entries: data, zeroes and nothing in one cluster
//	broken.qcow2    an L2 entry that points into the middle of a cluster, between data
//
// With -extents N it writes only extents.qcow2: clusters of 64 KiB of which every other one is
// allocated, so that the map has N extents. The file has only metadata: for 1048576 extents, a
// disk of 64 GiB, that is 8 MiB, written in less than a second. With -count N it writes N
// images of 16 MiB with one cluster of data each, a hundred in a directory.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"instarfs/guest/format/qcow2/qcow2test"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stderr))
}

func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	extents := flags.Uint64("extents", 0,
		"write one image, extents.qcow2, with a map of `N` extents (at most 268435456)")
	count := flags.Uint("count", 0, "write `N` small images")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: generate [-extents N] [-count N] DIR")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() != 1 || *extents > maxExtents {
		flags.Usage()
		return 2
	}
	if err := generate(flags.Arg(0), *extents, *count); err != nil {
		fmt.Fprintln(stderr, "generate:", err)
		return 1
	}
	return 0
}

// maxExtents keeps the L1 table of the image below what qemu opens, 32 MiB, and the disk below
// 16 TiB.
const maxExtents = 1 << 28

func generate(dir string, extents uint64, count uint) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if extents > 0 {
		return alternating(extents).WriteFile(filepath.Join(dir, "extents.qcow2"))
	}
	if count > 0 {
		return many(dir, count)
	}
	if err := sparseRaw(filepath.Join(dir, "sparse.raw")); err != nil {
		return err
	}
	for name, q := range samples() {
		if err := q.WriteFile(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// sparseRaw has data at its start, in the middle and in the last, partial sector.
func sparseRaw(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data := make([]byte, 64<<10)
	for i := range data {
		data[i] = byte(i) | 1
	}
	for off, n := range map[int64]int{0: 64 << 10, 1 << 20: 16 << 10, 4 << 20: 1000} {
		if _, err := f.WriteAt(data[:n], off); err != nil {
			return err
		}
	}
	return f.Close()
}

// many spreads small images over directories of a hundred.
func many(dir string, count uint) error {
	for i := range count {
		sub := filepath.Join(dir, fmt.Sprintf("%04d", i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(sub, 0o777); err != nil {
				return err
			}
		}
		q := qcow2test.New(16<<20, 16)
		q.Data(uint64(i%200), 1)
		if err := q.WriteFile(filepath.Join(sub, fmt.Sprintf("disk%05d.qcow2", i))); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"instarfs/guest/format/qcow2/qcow2test"
)

const clusterBits = 16

// smallImage is a disk of 16 MiB with a few clusters of data.
func smallImage(name string) error {
	q := qcow2test.New(16<<20, clusterBits)
	q.Data(1, 1)
	q.Data(16, 2)
	q.Zero(40, 8)
	return q.WriteFile(name)
}

// largeImage has a map of n extents: every other cluster is allocated. Only its metadata takes
// room on disk.
func largeImage(name string, n uint64) error {
	q := qcow2test.New(n<<clusterBits, clusterBits)
	q.NoRefcounts = true
	for i := uint64(0); i < n; i += 2 {
		*q.Entry(i) = q.Alloc(1) | qcow2test.EntryCopied
	}
	return q.WriteFile(name)
}

// copies makes n files of the same bytes, each in a directory of its own or all in one.
func copies(source, pattern, first string, n int) error {
	info, err := os.Stat(first)
	if err != nil {
		return err
	}
	small := info.Size() <= 1<<20
	var b []byte
	if small {
		if b, err = os.ReadFile(first); err != nil {
			return err
		}
	}
	for i := range n {
		name := filepath.Join(source, fmt.Sprintf(pattern, i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if small {
			err = os.WriteFile(name, b, 0o644)
		} else { // most of it is a hole
			_, err = command("cp", "--sparse=always", first, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

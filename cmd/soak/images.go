package main

import (
	"bytes"
	"math/rand"
	"os"

	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow2/qcow2test"
)

const (
	clusterBits = 16
	diskSize    = 64 << 20 // bytes
	// manyExtents make a map of 4 MiB, whose JSON has 40 MiB.
	manyExtents = 1 << 18
)

// fileBytes returns the file of an image.
func fileBytes(q *qcow2test.Image) ([]byte, error) {
	f, err := os.CreateTemp("", "instarfs-soak-image-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	size, err := q.Write(f)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	return b, err
}

// variant builds a small image. Both variants have the same size and differ in metadata only.
func variant(i int) *qcow2test.Image {
	q := qcow2test.New(diskSize, clusterBits)
	for j := range uint64(6) {
		q.Data(j*20+uint64(i)*7, 1+j%2)
	}
	q.Zero(200+uint64(i)*100, 8)
	return q
}

// overlay builds an image that hides a part of its backing file.
func overlay(base string) *qcow2test.Image {
	q := qcow2test.New(diskSize, clusterBits)
	q.Backing = base
	q.Extensions = []qcow2test.Extension{
		{Type: qcow2test.ExtensionBackingFormat, Data: []byte("qcow2")},
	}
	q.Data(20, 3)
	return q
}

// slow builds a small file with a large map: all entries of its first table point to one second
// table.
func slow() *qcow2test.Image {
	q := qcow2test.New(manyExtents<<clusterBits, clusterBits)
	q.NoRefcounts = true
	for i := uint64(0); i < q.TableEntries(); i += 2 {
		*q.Entry(i) = q.Alloc(1) | qcow2test.EntryCopied
	}
	for i := uint64(1); i < manyExtents/q.TableEntries(); i++ {
		*q.L1(i) = *q.L1(0)
	}
	return q
}

// damaged changes a few bytes of an image's metadata: the header, its first table, or anything.
func damaged(r *rand.Rand, b []byte) []byte {
	return formattest.Mutate(r, b,
		formattest.Region{Off: 0, Len: 200},
		formattest.Region{Off: 1 << clusterBits, Len: 64},
		formattest.Region{Off: 2 << clusterBits, Len: 4096})
}

// isMap reports whether b may be a complete JSON map.
func isMap(b []byte) bool {
	return bytes.HasPrefix(b, []byte("[{")) && bytes.HasSuffix(b, []byte("}]\n"))
}

package main

import (
	"encoding/binary"
	"math/rand"
	"testing"

	"instarfs/guest/format/parallels/parallelstest"
	"instarfs/guest/format/qcow2/qcow2test"
)

// voidBitmaps adds bitmaps that a program without support for them did not keep.
func voidBitmaps(q *qcow2test.Image) {
	b := make([]byte, 24)
	binary.BigEndian.PutUint32(b, 1)
	q.Extensions = append(q.Extensions,
		qcow2test.Extension{Type: qcow2test.ExtensionBitmaps, Data: b})
}

// TestDifferentialBitmaps checks the warning of void bitmaps, which qemu-img prints when it
// opens an image, before other messages, and without the end of the line.
func TestDifferentialBitmaps(t *testing.T) {
	const warning = "instarfs: warning: a program lacking bitmap support modified this file, " +
		"so all bitmaps are now considered inconsistent\n" +
		"Some clusters may be leaked, run 'qemu-img check -r' on the image file to fix."
	bits := func(change func(q *qcow2test.Image)) []byte {
		return handQcow2(func(q *qcow2test.Image) {
			change(q)
			voidBitmaps(q)
		})
	}
	rng := rand.New(rand.NewSource(1))
	ext, at := parallelstest.RandomExtension(rng)
	for binary.LittleEndian.Uint64(ext[at+24:]) == 0 { // no bitmap
		ext, at = parallelstest.RandomExtension(rng)
	}
	binary.LittleEndian.PutUint32(ext[at+72:], 3)
	parallelstest.Sum(ext, at)
	refused := refusal("feature.qcow2",
		"Unsupported qcow2 feature(s): Unknown incompatible feature: 20")
	refused.stderr = warning + refused.stderr
	missing := refusal("missing.qcow2", "Could not open backing file: Could not open 'none': "+
		"No such file or directory")
	missing.stderr = warning + missing.stderr
	compareHands(t, []hand{
		{"void.qcow2", bits(func(*qcow2test.Image) {}), everywhere(said{"", warning, 0})},
		{"void-v2.qcow2", bits(func(q *qcow2test.Image) { q.Version = 2 }), nil},
		{"feature.qcow2", bits(func(q *qcow2test.Image) { q.Incompatible = 1 << 5 }),
			everywhere(refused)},
		{"missing.qcow2", bits(onBase("none", "raw")), everywhere(missing)},
		{"over-void.qcow2", handQcow2(onBase("void.qcow2", "qcow2")),
			everywhere(said{"", warning, 0})},
		{"two.qcow2", bits(onBase("void.qcow2", "qcow2")),
			everywhere(said{"", warning + warning, 0})},
		{"granularity.hdd", ext, nil},
		{"over-granularity.qcow2", bits(onBase("granularity.hdd", "parallels")), nil},
	})
}

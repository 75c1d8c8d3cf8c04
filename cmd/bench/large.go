package main

import (
	"fmt"
	"path/filepath"
)

// large is what a map of a million extents takes: lines b, c and f.
func (b *bench) large() error {
	const images = 5
	extents := uint64(1<<20) / uint64(b.scale)
	one := filepath.Join(b.work, "large.qcow2")
	if err := largeImage(one, extents); err != nil {
		return err
	}
	// In directories of their own, so that none is mapped ahead, or at the same time as the one
	// that is measured.
	source := filepath.Join(b.work, "large", b.carrier)
	if err := copies(source, "%d/disk.qcow2", one, images); err != nil {
		return err
	}
	m, err := b.mountAt(source)
	if err != nil {
		return err
	}
	before, err := m.resident()
	if err != nil {
		return err
	}
	var first, again, qemu times
	for i := range images {
		name := fmt.Sprint(i, "/disk.qcow2")
		maps := filepath.Join(m.point, name+".map.json")
		err := steps(b.warm(), first.add("cat", maps),
			qemu.add("qemu-img", "map", "--output=json", filepath.Join(source, name)),
			again.add("cat", maps))
		if err != nil {
			return err
		}
	}
	after, err := m.resident()
	if err != nil {
		return err
	}
	b.report.compare(goalB, b.carrier, first, qemu)
	b.report.compare(goalC, b.carrier, again, qemu)
	b.report.add(result{goal: goalF, carrier: b.carrier, ours: mib(after - before),
		peer:  fmt.Sprintf("%d extents", images*extents),
		value: float64(after-before) / float64(images*extents)})
	return m.end()
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

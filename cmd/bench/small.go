package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// small is what a small image takes: lines e1, e2, e3 and a.
func (b *bench) small() error {
	n := 60 / b.scale
	image := filepath.Join(b.work, "small.qcow2")
	if err := smallImage(image); err != nil {
		return err
	}
	if err := b.maps(image, n); err != nil {
		return err
	}
	if err := b.reads(goalAlone, "%d/disk.qcow2", image, n); err != nil {
		return err
	}
	return b.reads(goalSweep, "disk%d.qcow2", image, 2*n)
}

// maps measures `instarfs map` as a process.
func (b *bench) maps(image string, n int) error {
	cache := os.Getenv("XDG_CACHE_HOME")
	if _, err := command(b.mapArgs(image)...); err != nil { // keeps the guest
		return err
	}
	var kept, first, qemu times
	for range n {
		if err := steps(qemu.add("qemu-img", "map", "--output=json", image),
			kept.add(b.mapArgs(image)...)); err != nil {
			return err
		}
	}
	if b.carrier != "kvm" {
		b.report.compare(goalE2, b.carrier, kept, qemu)
		return nil
	}
	defer os.Setenv("XDG_CACHE_HOME", cache)
	for i := range n / 3 {
		os.Setenv("XDG_CACHE_HOME", filepath.Join(b.work, fmt.Sprint("empty", i)))
		if err := first.add(b.mapArgs(image)...); err != nil {
			return err
		}
	}
	b.report.compare(goalE1, b.carrier, kept, qemu)
	b.report.compare(goalE3, b.carrier, first, qemu)
	return nil
}

// reads measures the first read of a map by this program.
func (b *bench) reads(g goal, pattern, image string, n int) error {
	source := filepath.Join(b.work, "reads", b.carrier, fmt.Sprint(g.limit))
	if err := copies(source, pattern, image, n); err != nil {
		return err
	}
	m, err := b.mountAt(source)
	if err != nil {
		return err
	}
	var first, qemu times
	for i := range n {
		name := fmt.Sprintf(pattern, i)
		err := steps(first.read(filepath.Join(m.point, name+".map.json")),
			qemu.add("qemu-img", "map", "--output=json", filepath.Join(source, name)))
		if err != nil {
			return err
		}
	}
	b.report.compare(g, b.carrier, first, qemu)
	return m.end()
}

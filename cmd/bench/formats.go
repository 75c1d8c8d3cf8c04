package main

import (
	"os"
	"path/filepath"

	"instarfs/guest/format/qcow2/qcow2test"
)

// window is line i: what a window costs does not depend on the size of the disk.
func (b *bench) window() error {
	var cost [2]times
	for i, size := range []string{"64G", "64T"} {
		name := filepath.Join(b.work, size+".qcow2")
		middle := map[string]string{"64G": "32G", "64T": "32T"}[size]
		if err := runs([]string{"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M",
			name, size}, []string{"qemu-io", "-c", "write " + middle + " 512k", name}); err != nil {
			return err
		}
		args := append(b.mapArgs(name), "--start-offset="+middle, "--max-length=1M")
		for range 20 / b.scale {
			if err := cost[i].add(args...); err != nil {
				return err
			}
		}
	}
	b.report.compare(goalWindow, b.carrier, cost[1], cost[0])
	return nil
}

// runs carries out commands.
func runs(list ...[]string) error {
	for _, args := range list {
		if _, err := command(args...); err != nil {
			return err
		}
	}
	return nil
}

// vhdxBefore is what the VHDX of line j took with the release e4d5788, on 2026-11-26 on a machine
// of this kind, in milliseconds.
const vhdxBefore = 95.0

// formats is line j: large images of other kinds.
func (b *bench) formats() error {
	file := func(name string) string { return filepath.Join(b.work, name) }
	if err := b.holes(file("holes.raw")); err != nil {
		return err
	}
	clusters := uint64(40_000_000_000/b.scale) >> clusterBits
	q := qcow2test.New(clusters<<clusterBits, clusterBits)
	q.NoRefcounts = true
	for i := range clusters { // their bytes are never read
		*q.Entry(i) = qcow2test.EntryCompressed | q.Alloc(1)
	}
	if err := q.WriteFile(file("compressed.qcow2")); err != nil {
		return err
	}
	if err := runs([]string{"qemu-img", "create", "-q", "-f", "vmdk", file("large.vmdk"), "2T"},
		[]string{"qemu-io", "-c", "write 1T 1M", file("large.vmdk")},
		[]string{"qemu-img", "create", "-q", "-f", "vhdx", file("large.vhdx"), "64T"}); err != nil {
		return err
	}
	for _, x := range []struct {
		goal
		name, format string
	}{
		{goalHoles, "holes.raw", "raw"}, {goalCompressed, "compressed.qcow2", "qcow2"},
		{goalVMDK, "large.vmdk", "vmdk"},
	} {
		var ours, qemu times
		for range max(3/b.scale, 1) {
			err := steps(ours.add(append(b.mapArgs(file(x.name)), "-f", x.format)...),
				qemu.add("qemu-img", "map", "--output=json", "-f", x.format, file(x.name)))
			if err != nil {
				return err
			}
		}
		b.report.compare(x.goal, b.carrier, ours, qemu)
	}
	var ours times
	for range 3 {
		if err := ours.add(b.mapArgs(file("large.vhdx"))...); err != nil {
			return err
		}
	}
	g := goalVHDX
	g.limit = vhdxBefore / 5
	b.report.add(result{goal: g, carrier: b.carrier, ours: ours.String(),
		value: ours.median().Seconds() * 1e3})
	return nil
}

// holes makes a raw image of which every other block is a hole.
func (b *bench) holes(name string) error {
	const block, blocks = 4096, 1_000_000
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for i := int64(0); i < int64(blocks/b.scale); i += 2 {
		if _, err := f.WriteAt([]byte{1}, i*block); err != nil {
			return err
		}
	}
	return steps(f.Truncate(int64(blocks/b.scale)*block), f.Sync(), f.Close())
}

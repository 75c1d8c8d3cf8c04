package main

import (
	"fmt"
	"os"
	"path/filepath"

	"instarfs/guest/format/qcow2/qcow2test"
)

// overlays are a hundred images over one base of 200,000 extents, as when virtual machines are made
// from a template: line g.
func (b *bench) overlays() error {
	n, extents := 100/b.scale, uint64(200_000/b.scale)
	source := filepath.Join(b.work, "overlays")
	if err := os.MkdirAll(filepath.Join(source, "overlays"), 0o755); err != nil {
		return err
	}
	if err := largeImage(filepath.Join(source, "base.qcow2"), extents); err != nil {
		return err
	}
	for i := range n {
		q := qcow2test.New(extents<<clusterBits, clusterBits)
		q.Backing = "base.qcow2"
		q.Extensions = []qcow2test.Extension{{Type: qcow2test.ExtensionBackingFormat,
			Data: []byte("qcow2")}}
		q.Data(uint64(10*i), 3)
		q.Zero(uint64(1000+10*i), 5)
		name := filepath.Join(source, "overlays", fmt.Sprintf("disk%02d.qcow2", i))
		if err := q.WriteFile(name); err != nil {
			return err
		}
	}
	link := filepath.Join(source, "overlays", "base.qcow2")
	if err := os.Symlink("../base.qcow2", link); err != nil {
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
	if _, err := os.ReadFile(filepath.Join(m.point, "base.qcow2.map.json")); err != nil {
		return err
	}
	base, err := m.resident()
	if err != nil {
		return err
	}
	all := func(t *times, script, dir string) error {
		return t.add("sh", "-c", script, "sh", filepath.Join(dir, "overlays"))
	}
	var first, again, qemu times
	err = steps(b.warm(), all(&first, `cat "$1"/disk*.map.json`, m.point),
		all(&qemu, `for f in "$1"/disk*; do qemu-img map --output=json "$f"; done`, source),
		all(&again, `cat "$1"/disk*.map.json`, m.point))
	if err != nil {
		return err
	}
	after, err := m.resident()
	if err != nil {
		return err
	}
	b.report.compare(goalOverlays, b.carrier, first, qemu)
	b.report.compare(goalOverlaysAgain, b.carrier, again, qemu)
	b.report.add(result{goal: goalOverlaysMemory, carrier: b.carrier, ours: mib(after - before),
		peer: mib(base - before), value: float64(after-before) / float64(base-before)})
	return m.end()
}

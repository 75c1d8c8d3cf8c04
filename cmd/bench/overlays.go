package main

import (
	"fmt"
	"os"
	"path/filepath"

	"instarfs/guest/format/qcow2/qcow2test"
)

// overlays are a hundred images over one base of 200,000 extents: as when virtual machines are
// made from a template.
func (b *bench) overlays() error {
	n, extents := 100/b.scale, uint64(200_000/b.scale)
	source := filepath.Join(b.work, "overlays")
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
		if err := write(name, q); err != nil {
			return err
		}
		base := filepath.Join(source, "overlays", "base.qcow2")
		if err := os.Symlink("../base.qcow2", base); err != nil && !os.IsExist(err) {
			return err
		}
	}
	m, err := b.mountAt(source)
	if err != nil {
		return err
	}
	var first, again, qemu times
	all := func(t *times, script, dir string) error {
		return t.add("sh", "-c", script, "sh", filepath.Join(dir, "overlays"))
	}
	for _, step := range []error{
		all(&first, `cat "$1"/disk*.map.json`, m.point),
		all(&qemu, `for f in "$1"/disk*; do qemu-img map --output=json "$f"; done`, source),
		all(&again, `cat "$1"/disk*.map.json`, m.point),
	} {
		if step != nil {
			return step
		}
	}
	what := fmt.Sprintf("(g) `cat` of the maps of %d overlays of one base of %d extents", n,
		extents)
	b.report.row(what+", the very first", first, "`qemu-img map` of each", qemu)
	b.report.row(what+", again", again, "`qemu-img map` of each", qemu)
	return m.end()
}

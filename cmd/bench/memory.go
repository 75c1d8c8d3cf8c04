package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// memory is line m: what a mount takes whose cache is full.
func (b *bench) memory() error {
	const cache = 256 << 20
	n := max(40/b.scale, 2)
	source := filepath.Join(b.work, "full")
	large := filepath.Join(b.work, "large.qcow2")
	if err := copies(source, "disk%02d.qcow2", large, n); err != nil {
		return err
	}
	m, err := b.mountAt(source, fmt.Sprint("--cache-bytes=", cache))
	if err != nil {
		return err
	}
	for i := range n {
		name := filepath.Join(m.point, fmt.Sprintf("disk%02d.qcow2.map.json", i))
		if _, err := command("cat", name); err != nil {
			return err
		}
	}
	most, err := m.memory("VmHWM")
	if err != nil {
		return err
	}
	b.report.add(result{goal: goalMemory, carrier: b.carrier, ours: mib(most),
		value: float64(most-cache) / 1e6})
	return steps(m.end(), os.RemoveAll(source))
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// listing is what many small images take: lines d and h.
func (b *bench) listing() error {
	n := 10000 / b.scale
	source := filepath.Join(b.work, "many")
	if _, err := os.Stat(source); err != nil {
		small := filepath.Join(b.work, "small.qcow2")
		if err := copies(source, "disk%05d.qcow2", small, n); err != nil {
			return err
		}
		// The kernel is not told to keep the listing of a directory that has just changed.
		time.Sleep(4 * time.Second)
	}
	m, err := b.mountAt(source)
	if err != nil {
		return err
	}
	// pair runs a command, whose operand is the directory in place of DIR, on both.
	pair := func(runs int, args ...string) (ours, theirs times, err error) {
		for range runs {
			if err := steps(theirs.add(replace(args, "DIR", source)...),
				ours.add(replace(args, "DIR", m.point)...)); err != nil {
				return nil, nil, err
			}
		}
		return ours, theirs, nil
	}
	for _, x := range []struct {
		goal
		runs int
		args []string
	}{
		{goalFirstList, 1, []string{"ls", "DIR"}},
		{goalList, 9, []string{"ls", "DIR"}},
		{goalFind, 9, []string{"find", "DIR", "-name", "*7*"}},
	} {
		ours, theirs, err := pair(x.runs, x.args...)
		if err != nil {
			return err
		}
		b.report.compare(x.goal, b.carrier, ours, theirs)
	}
	ours, theirs, err := pair(1, "ls", "-l", "DIR")
	if err != nil {
		return err
	}
	b.report.add(result{goal: goalLong, carrier: b.carrier, ours: ours.String(),
		peer: theirs.String(), value: ours.median().Seconds() * 1e3 / float64(n)})
	if err := m.end(); err != nil {
		return err
	}
	return b.rate(source, n)
}

// rate has eight readers read the maps of all images of a new mount.
func (b *bench) rate(source string, n int) error {
	const readers = 8
	m, err := b.mountAt(source)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, readers)
	begun := time.Now()
	for r := range readers {
		wg.Go(func() {
			for i := r; i < n && errs[r] == nil; i += readers {
				name := fmt.Sprintf("disk%05d.qcow2.map.json", i)
				_, errs[r] = os.ReadFile(filepath.Join(m.point, name))
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	if err := steps(errs...); err != nil {
		return err
	}
	g := goalRate
	if b.carrier == "kvm" {
		g = goalRateKVM
	}
	b.report.add(result{goal: g, carrier: b.carrier, ours: short(took),
		value: float64(n) / took.Seconds()})
	return m.end()
}

func replace(args []string, old, new string) []string {
	r := slices.Clone(args)
	r[slices.Index(r, old)] = new
	return r
}

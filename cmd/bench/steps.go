package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"instarfs/guest/format/qcow2/qcow2test"
)

// bench is one run of all measurements.
type bench struct {
	binary  string // of instarfs
	work    string // a directory that is removed at the end
	carrier string // value of --isolation of what is measured now
	scale   int    // divides the amounts
	report  *report
}

const clusterBits = 16

// smallImage is a disk of 16 MiB with a few clusters of data.
func smallImage(name string) error {
	q := qcow2test.New(16<<20, clusterBits)
	q.Data(1, 1)
	q.Data(16, 2)
	q.Zero(40, 8)
	return write(name, q)
}

// largeImage has a map of n extents: every other cluster is allocated. Only its metadata takes
// room on disk.
func largeImage(name string, n uint64) error {
	q := qcow2test.New(n<<clusterBits, clusterBits)
	q.NoRefcounts = true
	for i := uint64(0); i < n; i += 2 {
		*q.Entry(i) = q.Alloc(1) | qcow2test.EntryCopied
	}
	return write(name, q)
}

func write(name string, q *qcow2test.Image) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := q.Write(f); err != nil {
		return err
	}
	return f.Close()
}

// small is (a) and the first half of (e): once over images that are each in a directory of
// their own, so that none is mapped ahead because of another, and once over images in one
// directory, as usual.
func (b *bench) small() error {
	if err := b.smallIn("alone in its directory", "%d/disk.qcow2", true); err != nil {
		return err
	}
	return b.smallIn("one after the other of a directory", "disk%d.qcow2", false)
}

func (b *bench) smallIn(where, pattern string, process bool) error {
	n := 200 / b.scale
	source := filepath.Join(b.work, "small", b.carrier, fmt.Sprint(process))
	image := func(i int) string { return filepath.Join(source, fmt.Sprintf(pattern, i)) }
	for i := range 2 * n {
		if err := smallImage(image(i)); err != nil {
			return err
		}
	}
	m, err := b.mountAt(source)
	if err != nil {
		return err
	}
	// The floor: the time that cat takes for a map on disk.
	ordinary := filepath.Join(b.work, "ordinary.json")
	mapOf := func(i int) string {
		return filepath.Join(m.point, fmt.Sprintf(pattern, i)+".map.json")
	}
	var first, again, read, qemu, plain, alone times
	for i := 0; i < 2*n; i += 2 {
		maps := mapOf(i)
		for _, step := range []error{
			first.add("cat", maps),
			qemu.add("qemu-img", "map", "--output=json", image(i)),
			again.add("cat", maps),
			copyFile(ordinary, maps),
			plain.add("cat", ordinary),
			read.read(mapOf(i + 1)),
		} {
			if step != nil {
				return step
			}
		}
		if process {
			if err := alone.add(b.mapArgs(image(i))...); err != nil {
				return err
			}
		}
	}
	b.report.row(b.carrier+": (a) first `cat` of the map of a small qcow2, "+where, first,
		"`qemu-img map`",
		qemu)
	b.report.row("— `cat` of an ordinary file of these bytes, which is the floor", plain,
		"`qemu-img map`", qemu)
	b.report.row("— the first `cat`, less that", first.less(plain.median()),
		"`qemu-img map`", qemu)
	b.report.row("— the first read by a program that runs already, as backup software does", read,
		"`qemu-img map`", qemu)
	b.report.row("— the same `cat` again", again, "`qemu-img map`", qemu)
	if process {
		b.report.row(b.carrier+": (e) `instarfs map` of a small qcow2, as one process", alone,
			"`qemu-img map`",
			qemu)
	}
	return m.end()
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}

func (t times) less(d time.Duration) times {
	r := make(times, len(t))
	for i := range t {
		r[i] = max(t[i]-d, 0)
	}
	return r
}

// large is (b), (c), the second half of (e), and (f).
func (b *bench) large() error {
	const images = 5
	extents := uint64(1<<20) / uint64(b.scale)
	source := filepath.Join(b.work, "large", b.carrier)
	// In directories of their own, so that none is mapped ahead, or at the same time as the one
	// measured.
	image := func(i int) string { return filepath.Join(source, fmt.Sprint(i), "disk.qcow2") }
	for i := range images {
		if err := largeImage(image(i), extents); err != nil {
			return err
		}
	}
	m, err := b.mountAt(source)
	if err != nil {
		return err
	}
	before, err := m.resident()
	if err != nil {
		return err
	}
	var first, again, qemu, process times
	for i := range images {
		maps := filepath.Join(m.point, fmt.Sprint(i), "disk.qcow2.map.json")
		for _, step := range []error{
			first.add("cat", maps),
			qemu.add("qemu-img", "map", "--output=json", image(i)),
			again.add("cat", maps),
			process.add(b.mapArgs(image(i))...),
		} {
			if step != nil {
				return step
			}
		}
	}
	after, err := m.resident()
	if err != nil {
		return err
	}
	what := fmt.Sprintf("a qcow2 of %d extents", extents)
	b.report.row(b.carrier+": (b) first `cat` of the map of "+what, first, "`qemu-img map`", qemu)
	b.report.row(b.carrier+": (c) the same `cat` again", again, "`qemu-img map`", qemu)
	b.report.row(b.carrier+": (e) `instarfs map` of "+what+", as one process", process,
		"`qemu-img map`", qemu)
	b.report.note(b.carrier+
		": (f) resident memory of the mount: %.1f bytes for each of %d cached extents "+
		"(%.1f MiB before, %.1f MiB after).",
		float64(after-before)/float64(images*extents), images*extents, mib(before), mib(after))
	return m.end()
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// listing is (d).
func (b *bench) listing() error {
	n := 10000 / b.scale
	source := filepath.Join(b.work, "many")
	for i := range n {
		if err := smallImage(filepath.Join(source, fmt.Sprintf("disk%05d.qcow2", i))); err != nil {
			return err
		}
	}
	// The kernel is not told to keep the listing of a directory that has just changed.
	time.Sleep(4 * time.Second)
	m, err := b.mountAt(source)
	if err != nil {
		return err
	}
	// pair runs a command, whose operand is the directory in place of DIR, on both.
	pair := func(what, in string, runs int, args ...string) error {
		var ours, theirs times
		for range runs {
			if err := theirs.add(replace(args, "DIR", source)...); err != nil {
				return err
			}
			if err := ours.add(replace(args, "DIR", m.point)...); err != nil {
				return err
			}
		}
		b.report.row(fmt.Sprintf("(d) %s over the maps of %d images%s", what, n, in), ours,
			"the same on the source", theirs)
		return nil
	}
	for _, step := range []error{
		pair("`ls`", ", the very first", 1, "ls", "DIR"),
		pair("`ls`", "", 7, "ls", "DIR"),
		pair("`find -name`", "", 7, "find", "DIR", "-name", "*7*"),
		pair("`ls -l`", ", the very first: maps them all", 1, "ls", "-l", "DIR"),
		pair("`ls -l`", ", once mapped", 7, "ls", "-l", "DIR"),
	} {
		if step != nil {
			return step
		}
	}
	return m.end()
}

func replace(args []string, old, new string) []string {
	r := slices.Clone(args)
	r[slices.Index(r, old)] = new
	return r
}

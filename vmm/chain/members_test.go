package chain

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
	"instarfs/vmm/session"
)

func backing(name string) img.Reference { return img.Reference{Kind: img.Backing, Name: name} }

// threeLayers is a chain whose middle layer has its data in a file of its own.
func threeLayers() map[string]fileMap {
	open := []extent.Extent{ext(0, 512, 0, 0)}
	data := img.Reference{Kind: img.DataFile, Name: "data"}
	return map[string]fileMap{
		"top":    {refs: []img.Reference{backing("middle")}, extents: open},
		"middle": {refs: []img.Reference{data, backing("./base")}, extents: open},
		"base":   {extents: []extent.Extent{ext(0, 512, stored, 0)}},
		"data":   {},
	}
}

// TestMembers checks what is kept of the files under an image.
func TestMembers(t *testing.T) {
	e, _, dir := disks(t, threeLayers())
	r, err := e.MapFile(t.Context(), filepath.Join(dir, "top"), whole)
	if err != nil {
		t.Fatal(err)
	}
	want := []Member{
		{kind: img.Backing, depth: 1, name: "middle", label: dir + "/middle"},
		{kind: img.Backing, depth: 2, name: "./base", label: dir + "/./base"},
		{
			kind: img.DataFile, depth: 1, name: "data", label: dir + "/data",
			reader: image.DataReader,
		},
	}
	if len(r.members) != len(want) {
		t.Fatalf("%+v", r.members)
	}
	for i, m := range r.members {
		if m.At.Path != m.name || m.Stat.Ino == 0 {
			t.Errorf("member %d lies at %q, inode %d", i, m.At.Path, m.Stat.Ino)
		}
		m.At, m.Stat = want[i].At, want[i].Stat
		if m != want[i] {
			t.Errorf("member %d: %+v, want %+v", i, m, want[i])
		}
	}
}

// TestDamageBelow: an error says in which file the damage is that shows.
func TestDamageBelow(t *testing.T) {
	damage := fault.New(fault.Qcow2L2Unaligned, 40, 1, 2)
	disk := threeLayers()
	disk["base"] = fileMap{fault: damage, extents: []extent.Extent{ext(0, 512, extent.Bad, 0)}}
	e, _, dir := disks(t, disk)
	_, err := e.MapFile(t.Context(), filepath.Join(dir, "top"), whole)
	var ref *failure.Reference
	if !errors.As(err, &ref) || ref.Depth != 2 || ref.Label != dir+"/./base" || ref.Err != damage {
		t.Errorf("%v: %+v", err, ref)
	}
	oneLine(t, err, "map "+dir+"/top: ", "backing file ", "/./base", damage.Message())
	o := whole
	o.Release = qemuStyle
	r, err := e.MapFile(t.Context(), filepath.Join(dir, "top"), o)
	if err != nil || r.Failed != damage {
		t.Errorf("in the style of qemu: %+v, %v", r, err)
	}
}

// opens returns a function that opens an image in a directory.
func opens(t *testing.T, e *Engine, dir, name string) func() (*image.File, error) {
	t.Helper()
	tree, err := files.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	at := files.Place{Tree: tree, Path: name}
	return func() (*image.File, error) {
		return image.OpenNamed(t.Context(), e.host, filepath.Join(dir, name), at)
	}
}

// TestDataFileChanges: a data file that changes while the layer below is mapped makes the map
// another one.
func TestDataFileChanges(t *testing.T) {
	e, r, dir := disks(t, threeLayers())
	find := r.During
	r.During = func(n int32, job *session.Job) (*session.Layer, error) {
		if n == 3 { // of the base
			write(t, filepath.Join(dir, "data"), "changed")
		}
		return find(n, job)
	}
	open := opens(t, e, dir, "top")
	_, first, err := e.Map(t.Context(), "top", whole, nil, open)
	if err != nil {
		t.Fatal(err)
	}
	if _, now, err := e.Map(t.Context(), "top", whole, nil, open); err != nil || now != first {
		t.Errorf("the map was kept as %x, and is %x: %v", first, now, err)
	}
	r.Count(3)
}

// TestReplacedWhileOpening: an image that another one replaces while it is opened is opened again,
// as often as one that changes.
func TestReplacedWhileOpening(t *testing.T) {
	for replaced := range 5 {
		e, _, dir := disks(t, threeLayers())
		open, opened := opens(t, e, dir, "base"), 0
		_, _, err := e.Map(t.Context(), "base", whole, nil, func() (*image.File, error) {
			if opened++; opened <= replaced {
				return nil, failure.ErrChanging
			}
			return open()
		})
		if errors.Is(err, failure.ErrChanging) != (replaced >= maxRuns) || opened > maxRuns {
			t.Errorf("replaced %d times: opened %d times, %v", replaced, opened, err)
		}
	}
}

// lockByte locks a byte of a file as QEMU does, until the test ends.
func lockByte(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	l := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart, Start: at, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l); err != nil {
		t.Fatal(err)
	}
}

// TestLockedMembers: the locks of every file count, a data file's as those of a data file: another
// process may write it, and may not resize it.
func TestLockedMembers(t *testing.T) {
	const writes, resizes = 101, 103 // see package image
	for _, test := range []struct {
		file   string
		at     int64
		locked bool
	}{
		{"top", writes, true}, {"middle", writes, true}, {"base", writes, true},
		{"data", writes, false}, {"data", resizes, true},
	} {
		e, _, dir := disks(t, threeLayers())
		name, open := filepath.Join(dir, "top"), opens(t, e, dir, "top")
		look := func(look func(fd int) error) error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			return look(int(f.Fd()))
		}
		// Kept before anybody has a lock.
		_, g, err := e.Map(t.Context(), name, whole, nil, open)
		if err != nil {
			t.Fatal(err)
		}
		lockByte(t, filepath.Join(dir, test.file), test.at)
		busy := func(err error) bool {
			var named *failure.Error
			return errors.As(err, &named) && named.Errno() == unix.EBUSY
		}
		known, err := e.Check(t.Context(), nil, name, g, look)
		if !known || busy(err) != test.locked {
			t.Errorf("%s locked at %d: check: known %v, %v", test.file, test.at, known, err)
		}
		if _, _, err = e.Map(t.Context(), name, whole, nil, open); busy(err) != test.locked {
			t.Errorf("%s locked at %d: map: %v", test.file, test.at, err)
		}
		e.access.ForceShare = true
		if _, _, err = e.Map(t.Context(), name, whole, nil, open); err != nil {
			t.Errorf("%s locked at %d: shared by force: %v", test.file, test.at, err)
		}
		if known, err := e.Check(t.Context(), nil, name, g, look); !known || err != nil {
			t.Errorf("%s locked at %d: by force: known %v, %v", test.file, test.at, known, err)
		}
	}
}

// reader is a runner whose runs read until an error ends them.
type reader struct{ reads int }

func (r *reader) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	for b := make([]byte, job.Size); ; r.reads++ {
		if _, err := job.Image.ReadAt(ctx, b, 0); err != nil || r.reads > 1<<20 {
			return nil, err
		}
	}
}

// TestReadsAreCharged: a map may read for as long as Limits.Source says.
func TestReadsAreCharged(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	write(t, name, "disk")
	r := &reader{}
	_, err := NewEngine(r, Access{}, Limits{Source: 1}).MapFile(t.Context(), name, whole)
	var named *failure.Error
	if !errors.As(err, &named) {
		t.Fatal(err)
	}
	late(t, named.Err, "--source-time")
	if r.reads > 1 {
		t.Errorf("%d reads", r.reads)
	}
}

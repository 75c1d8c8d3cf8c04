package chain

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/chaintest"
	"instarfs/vmm/compose"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/session"
)

// file is what a run over a file finds.
type fileMap struct {
	refs     []img.Reference
	size     uint64 // 0 is the end of the extents
	overhang uint64
	extents  []extent.Extent
	fault    *fault.Fault // of the extents that are Bad
}

// disks is a directory of files, and an engine whose runs find in them what is said here. Runs see
// the window that they are asked for.
func disks(t *testing.T, files map[string]fileMap) (*Engine, *fakeRunner, string) {
	t.Helper()
	openFiles(t)
	dir := t.TempDir()
	for name := range files {
		write(t, filepath.Join(dir, name), name)
	}
	r := &fakeRunner{T: t, During: func(_ int32, job *session.Job) (*session.Layer, error) {
		b := make([]byte, job.Size)
		if _, err := job.Image.ReadAt(t.Context(), b, 0); err != nil {
			return nil, err
		}
		f := files[string(b)]
		l := layerOf(t, f.extents...)
		size := f.size
		if size == 0 {
			size = l.VirtualSize
		}
		w := job.Window.Clip(size)
		start, end := w.Start, w.End
		part := extent.NewBuilder(start, end, 0)
		for _, e := range f.extents {
			if w.Empty() || e.End() <= start || e.Start >= end {
				continue
			}
			if e.Start < start {
				e = e.Skip(start - e.Start)
			}
			e.Length = min(e.Length, end-e.Start)
			if err := part.Add(e); err != nil {
				t.Errorf("%s: %v", b, err)
			}
		}
		var err error
		if l.Map, err = part.Finish(nil); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		l.Format, l.References, l.VirtualSize, l.Overhang = img.ParseFormat("vmdk"), f.refs,
			size, f.overhang
		if f.fault != nil {
			chaintest.AddFault(l, chaintest.Bad, f.fault)
		}
		return l, nil
	}}
	return NewEngine(r, Access{}, Limits{Cache: 1 << 20}), r, dir
}

// of is an extent whose place is in a file.
func of(file uint16, e extent.Extent) extent.Extent {
	e.File = file
	return e
}

// at is an extent of a composed map of some depth.
func at(depth uint16, e extent.Extent) extent.Extent {
	e.Depth = depth
	return e
}

func extentFile(name string) img.Reference {
	return img.Reference{Kind: img.ExtentFile, Name: name, Format: "vmdk-sparse"}
}

// split is a disk of two sparse files and a flat one between: 1536, 512 and 2048 bytes. The first
// has a grain of 1024 bytes that hangs over, if that is how it is read.
func split(overhang uint64) map[string]fileMap {
	return map[string]fileMap{
		"text": {
			refs: []img.Reference{extentFile("one"),
				{Kind: img.DataFile, Name: "flat"}, extentFile("two")},
			extents: []extent.Extent{
				of(1, ext(0, 512, stored, 0)), of(2, ext(512, 512, stored, 7000)),
				of(3, ext(1024, 512, stored, 0))},
		},
		"flat": {},
		"one": {overhang: overhang,
			extents: []extent.Extent{ext(0, 1024, 0, 0), ext(1024, 512+overhang, stored, 4096)}},
		"two": {extents: []extent.Extent{ext(0, 512, present|zero, 0),
			ext(512, 1536, stored, 8192)}},
	}
}

const qemuStyle = 9 << 16

func TestAssemble(t *testing.T) {
	all := []extent.Extent{
		ext(0, 1024, zero, 0), of(1, ext(1024, 512, stored, 4096)),
		of(2, ext(1536, 512, stored, 7000)),
		ext(2048, 512, present|zero, 0), of(3, ext(2560, 1536, stored, 8192))}
	tests := []struct {
		name     string
		overhang uint64
		o        Options
		want     []extent.Extent
	}{
		{"whole", 0, whole, all},
		{"in the style of qemu", 0, Options{Window: img.Whole, Release: qemuStyle}, all},
		{"window", 0, Options{Window: img.Window{Start: 1100, End: 2100}}, []extent.Extent{
			of(1, ext(1100, 436, stored, 4172)), of(2, ext(1536, 512, stored, 7000)),
			ext(2048, 52, present|zero, 0)}},
		{"window in the last file", 0, Options{Window: img.Window{Start: 3000, End: img.Whole.End}},
			[]extent.Extent{of(3, ext(3000, 1096, stored, 8632))}},
		{"window behind the end", 0,
			Options{Window: img.Window{Start: 1 << 20, End: img.Whole.End}}, nil},
		{"no window", 0, Options{Window: img.Window{Start: 5, End: 5}}, nil},
		{"hanging over a part", 400,
			Options{Window: img.Whole, Release: qemuStyle}, []extent.Extent{
				ext(0, 1024, zero, 0), of(1, ext(1024, 912, stored, 4096)),
				of(2, ext(1936, 112, stored, 7400)),
				ext(2048, 512, present|zero, 0), of(3, ext(2560, 1536, stored, 8192))}},
		{"hanging over two", 600, Options{Window: img.Whole, Release: qemuStyle}, []extent.Extent{
			ext(0, 1024, zero, 0), of(1, ext(1024, 1112, stored, 4096)),
			ext(2136, 424, present|zero, 0), of(3, ext(2560, 1536, stored, 8192))}},
		{"hanging over the end", 9000,
			Options{Window: img.Whole, Release: qemuStyle}, []extent.Extent{
				ext(0, 1024, zero, 0), of(1, ext(1024, 3072, stored, 4096))}},
		{"seen from behind", 600,
			Options{Window: img.Window{Start: 1600, End: img.Whole.End}, Release: qemuStyle},
			[]extent.Extent{
				of(2, ext(1600, 448, stored, 7064)), ext(2048, 512, present|zero, 0),
				of(3, ext(2560, 1536, stored, 8192))}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, _, dir := disks(t, split(test.overhang))
			r, err := e.MapFile(t.Context(), filepath.Join(dir, "text"), test.o)
			if err != nil {
				t.Fatal(err)
			}
			if got := extents(r.Map); !slices.Equal(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if r.VirtualSize != 4096 || r.Map.Start() != test.o.Window.Start {
				t.Error(r.VirtualSize, r.Map.Start())
			}
			var files []string
			for _, name := range []string{"text", "one", "flat", "two"} {
				files = append(files, filepath.Join(dir, name))
			}
			if !slices.Equal(r.Map.Files(), files) {
				t.Errorf("files %q", r.Map.Files())
			}
		})
	}
}

// TestAssembleChain: a disk of several files lies under another.
func TestAssembleChain(t *testing.T) {
	files := split(600)
	files["top"] = fileMap{
		refs: []img.Reference{{Kind: img.Backing, Name: "text", Format: "vmdk"}},
		extents: []extent.Extent{ext(0, 1100, 0, 0), ext(1100, 300, stored, 0),
			ext(1400, 150, 0, 0), ext(1550, 20, stored, 500), ext(1570, 9000, 0, 0)},
	}
	e, _, dir := disks(t, files)
	r, err := e.MapFile(t.Context(), filepath.Join(dir, "top"),
		Options{Window: img.Whole, Release: qemuStyle})
	if err != nil {
		t.Fatal(err)
	}
	// What the first file says beyond its end counts for the question that began before. The one
	// from 1570 on begins anew.
	want := []extent.Extent{
		at(1, ext(0, 1024, zero, 0)), at(1, of(2, ext(1024, 76, stored, 4096))),
		ext(1100, 300, stored, 0),
		at(1, of(2, ext(1400, 150, stored, 4472))), ext(1550, 20, stored, 500),
		at(1, of(3, ext(1570, 478, stored, 7034))), at(1, ext(2048, 512, present|zero, 0)),
		at(1, of(4, ext(2560, 1536, stored, 8192))),
		ext(4096, 6474, zero, 0)}
	if got := extents(r.Map); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestAssembleEmpty: files may hold nothing.
func TestAssembleEmpty(t *testing.T) {
	files := split(0)
	files["one"], files["two"] = fileMap{}, fileMap{}
	e, _, dir := disks(t, files)
	r, err := e.MapFile(t.Context(), filepath.Join(dir, "text"), whole)
	if err != nil || !slices.Equal(extents(r.Map),
		[]extent.Extent{of(2, ext(0, 512, stored, 7000))}) || r.VirtualSize != 512 {
		t.Error(r, err)
	}
	files["text"] = fileMap{refs: []img.Reference{extentFile("one")},
		extents: []extent.Extent{of(1, ext(0, 512, stored, 0))}}
	e, _, dir = disks(t, files)
	r, err = e.MapFile(t.Context(), filepath.Join(dir, "text"), whole)
	if err != nil || r.Map.Len() != 0 || r.VirtualSize != 0 {
		t.Error(r, err)
	}
}

// TestAssembleTwice: the same file may hold several parts, and is mapped once.
func TestAssembleTwice(t *testing.T) {
	files := split(0)
	files["text"] = fileMap{refs: []img.Reference{extentFile("two")},
		extents: []extent.Extent{of(1, ext(0, 512, stored, 0)), of(1, ext(512, 512, stored, 0))}}
	e, runs, dir := disks(t, files)
	r, err := e.MapFile(t.Context(), filepath.Join(dir, "text"), whole)
	want := []extent.Extent{ext(0, 512, present|zero, 0), of(1, ext(512, 1536, stored, 8192)),
		ext(2048, 512, present|zero, 0), of(1, ext(2560, 1536, stored, 8192))}
	if err != nil || !slices.Equal(extents(r.Map), want) {
		t.Error(r, err)
	}
	runs.Count(2)
}

// TestAssembleBad: what is wrong in a file is wrong with the disk, where it is.
func TestAssembleBad(t *testing.T) {
	f := fault.New(fault.VmdkTableEntry, 5, 6)
	files := split(0)
	files["two"] = fileMap{fault: f,
		extents: []extent.Extent{ext(0, 512, present|zero, 0), ext(512, 512, extent.Bad, 0)}}
	e, _, dir := disks(t, files)
	name := filepath.Join(dir, "text")
	if _, err := e.MapFile(t.Context(), name, whole); !errors.As(err, new(*fault.Fault)) {
		t.Error(err)
	}
	r, err := e.MapFile(t.Context(), name, Options{Window: img.Whole, Release: qemuStyle})
	if err != nil || r.Failed != f || r.Map.Len() != 3 {
		t.Error(r, err)
	}
	r, err = e.MapFile(t.Context(), name, Options{Window: img.Window{End: 2500}})
	if err != nil || r.Map.End() != 2500 {
		t.Error(r, err)
	}
}

// TestAssembleRefuses what cannot be a disk.
func TestAssembleRefuses(t *testing.T) {
	nested := split(0)
	nested["two"] = fileMap{refs: []img.Reference{extentFile("one")},
		extents: []extent.Extent{of(1, ext(0, 512, stored, 0))}}
	missing := split(0)
	delete(missing, "two")
	large := split(0)
	large["one"] = fileMap{extents: []extent.Extent{ext(0, 1<<63-1<<30, 0, 0)}}
	outside := split(0)
	outside["text"] = fileMap{refs: []img.Reference{extentFile("../one")}}
	for _, test := range []struct {
		name, text, qemu string
		files            map[string]fileMap
	}{
		{"nested", failure.ErrNested.Error(), "", nested},
		{"missing", "no such file", "Could not open 'DIR/two': No such file or directory", missing},
		{"too large", "File too large",
			"Could not refresh total sector count: File too large", large},
		{"outside", files.ErrOutside.Error(), "", outside},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, _, dir := disks(t, test.files)
			_, err := e.MapFile(t.Context(), filepath.Join(dir, "text"),
				Options{Window: img.Whole, Release: qemuStyle})
			oneLine(t, err, test.text)
			var told *failure.Error
			if !errors.As(err, &told) ||
				strings.ReplaceAll(told.QemuText(), dir, "DIR") != test.qemu {
				t.Errorf("%v: %q, want %q", err, told.QemuText(), test.qemu)
			}
		})
	}
}

// TestAssembleHostile: a guest may say anything of files that it has not seen.
func TestAssembleHostile(t *testing.T) {
	far := split(0)
	far["text"] = fileMap{refs: []img.Reference{extentFile("one"), extentFile("two")},
		extents: []extent.Extent{of(1, ext(0, 512, stored, 0)),
			of(2, ext(512, 512, stored, 1<<62))}}
	near := split(0)
	near["text"] = fileMap{refs: far["text"].refs,
		extents: []extent.Extent{of(1, ext(0, 512, stored, 0)), of(2, ext(512, 512, stored, 2047))}}
	many := split(0)
	text := fileMap{refs: []img.Reference{extentFile("one")}}
	for i := range uint64(compose.MaxParts + 1) {
		text.extents = append(text.extents, ext(i, 1, []extent.Flags{0, present | zero}[i%2], 0))
	}
	many["text"] = text
	for name, files := range map[string]map[string]fileMap{"far": far, "near": near, "many": many} {
		t.Run(name, func(t *testing.T) {
			e, _, dir := disks(t, files)
			_, err := e.MapFile(t.Context(), filepath.Join(dir, "text"), whole)
			var guest *session.GuestError
			if !errors.As(err, &guest) || guest.Kind != session.KindProtocol {
				t.Error(err)
			}
		})
	}
}

// TestPartsAreNoDisks: nobody but the text of a disk may say that a file is an extent of one.
func TestPartsAreNoDisks(t *testing.T) {
	files := split(0)
	for _, format := range []string{"vmdk-sparse", "vmdk-sesparse"} {
		files["top"] = fileMap{refs: []img.Reference{{Kind: img.Backing, Name: "one",
			Format: format}}, extents: []extent.Extent{ext(0, 512, 0, 0)}}
		e, runs, dir := disks(t, files)
		_, err := e.MapFile(t.Context(), filepath.Join(dir, "one"),
			Options{Window: img.Whole, Format: format})
		if !errors.Is(err, failure.ErrFormat) {
			t.Error(err)
		}
		runs.Count(0)
		_, err = e.MapFile(t.Context(), filepath.Join(dir, "top"), whole)
		if !errors.Is(err, failure.ErrFormat) {
			t.Error(err)
		}
		want := fmt.Sprintf("Could not open backing file: Unknown driver '%s'", format)
		if err.(*failure.Error).QemuText() != want {
			t.Errorf("%q", err.(*failure.Error).QemuText())
		}
		runs.Count(1)
	}
}

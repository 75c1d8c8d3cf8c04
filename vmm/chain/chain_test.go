package chain

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
)

// opened is a file, open.
func opened(t *testing.T) *node {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	write(t, name, "content")
	tree, err := files.OpenTree(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	h := NewEngine(nil, Access{}, Limits{}).host
	f, err := image.OpenNamed(t.Context(), h, name, files.Place{Tree: tree, Path: "file"})
	if err != nil {
		t.Fatal(err)
	}
	return newNode(f)
}

// TestRetainIsAllOrNothing: who closes the files of a chain may be at it while another wants to
// keep them open.
func TestRetainIsAllOrNothing(t *testing.T) {
	openFiles(t)
	for closed := range 3 {
		c := &chain{nodes: []*node{opened(t), opened(t)}, others: []*node{opened(t)}}
		all := c.files()
		all[closed].Close()
		if c.retain() {
			t.Errorf("file %d is closed, and the chain was retained", closed)
			continue
		}
		for i, n := range all {
			if i != closed {
				n.Close()
			}
			if n.Retain() {
				t.Errorf("file %d was closed before: file %d is open after its last close",
					closed, i)
			}
		}
	}
	c := &chain{nodes: []*node{opened(t), opened(t)}, others: []*node{opened(t)}}
	if !c.retain() {
		t.Error("open files were not retained")
	}
	c.close()
	c.close()
}

// TestChargedExtents: a long chain of small images may have more extents than fit in memory.
func TestChargedExtents(t *testing.T) {
	l := layerOf(t, ext(0, 512, 0, 0), ext(512, 512, present|zero, 0))
	for used, want := range map[int]error{maxHeld - 2: nil, maxHeld - 1: extent.ErrTooMany} {
		n := opened(t)
		x := &opener{
			layer: func(context.Context, *node, Options, string) (*layer, error) {
				return &layer{Layer: l}, nil
			},
		}
		c := &chain{nodes: []*node{n}, extents: used}
		if err := c.openLayers(t.Context(), x); !errors.Is(err, want) {
			t.Errorf("%d and 2: %v", used, err)
		}
		f := opened(t)
		c = &chain{nodes: []*node{n}, others: []*node{f}, extents: used}
		ref := &img.Reference{Kind: img.ExtentFile}
		if err := c.readDataFile(t.Context(), f, ref, x); !errors.Is(err, want) {
			t.Errorf("%d and 2 of an extent: %v", used, err)
		}
		c.close()
	}
}

// TestManyFiles: there are no more than maxFiles, however they are found.
func TestManyFiles(t *testing.T) {
	for others, want := range map[int]error{maxFiles - 2: nil, maxFiles - 1: failure.ErrFiles} {
		top, last := newNode(&image.File{}), newNode(&image.File{})
		last.Stat().Ino = 1
		c := &chain{nodes: []*node{top, last}, others: make([]*node, others), maxDepth: 1}
		if err := c.checkEnd(); !errors.Is(err, want) {
			t.Errorf("%d: %v", others, err)
		}
	}
}

package chain

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/vmm/files"
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
	n, err := NewEngine(nil, Access{}, Limits{}).openNamed(t.Context(), name, files.Place{Tree: tree, Path: "file"})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRetainIsAllOrNothing: who closes the files of a chain may be at it while another wants to keep them open.
func TestRetainIsAllOrNothing(t *testing.T) {
	openFiles(t)
	for closed := range 3 {
		c := &chain{nodes: []*node{opened(t), opened(t)}, others: []*node{opened(t)}}
		all := c.files()
		all[closed].close()
		if c.retain() {
			t.Errorf("file %d is closed, and the chain was retained", closed)
			continue
		}
		for i, n := range all {
			want := int32(1)
			if i == closed {
				want = 0
			}
			if got := n.held.Load(); got != want {
				t.Errorf("file %d is closed: %d hold file %d", closed, got, i)
			}
			if i != closed {
				n.close()
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

// TestHeldExtents: a long chain of small images may have more extents than fit in memory.
func TestHeldExtents(t *testing.T) {
	l := layerOf(t, ext(0, 512, 0, 0), ext(512, 512, present|zero, 0))
	for held, want := range map[int]error{maxHeld - 2: nil, maxHeld - 1: extent.ErrTooMany} {
		n := opened(t)
		c := &chain{engine: NewEngine(nil, Access{}, Limits{}), nodes: []*node{n}, held: held}
		x := &explorer{layer: func(context.Context, *node, Options, string) (*layer, error) { return &layer{Layer: l}, nil }}
		if err := c.follow(t.Context(), x); !errors.Is(err, want) {
			t.Errorf("%d and 2: %v", held, err)
		}
		f := opened(t)
		c = &chain{engine: NewEngine(nil, Access{}, Limits{}), nodes: []*node{n}, others: []*node{f}, held: held}
		if err := c.enter(t.Context(), f, &img.Reference{Kind: img.ExtentFile}, x); !errors.Is(err, want) {
			t.Errorf("%d and 2 of an extent: %v", held, err)
		}
		c.close()
	}
}

// TestPrintable: nothing that a terminal could obey, and all that is text.
func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"plain name.raw": "plain name.raw", "größe 日本": "größe 日本", "a\x1b": "a\\x1b", "a\u009bm": "a\\xc2\\x9bm", "\xff\x9b": "\\xff\\x9b", "\n\x7f": "\\x0a\\x7f",
	} {
		if got := printable(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// TestManyFiles: there are no more of them than that, however they are found.
func TestManyFiles(t *testing.T) {
	n := &node{image: &image{}}
	for others, want := range map[int]error{maxFiles - 2: nil, maxFiles - 1: errFiles} {
		last := &node{image: &image{}}
		last.st.Ino = 1
		c := &chain{engine: NewEngine(nil, Access{}, Limits{}), nodes: []*node{n, last}, others: make([]*node, others)}
		if err := c.mayGoOn(last); !errors.Is(err, want) {
			t.Errorf("%d: %v", others, err)
		}
	}
}

package chain

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/chaintest"
	"instarfs/vmm/failure"
	"instarfs/vmm/session"
)

// TestStop: a warning that stops qemu-img cuts the map of the image itself, in a profile of qemu
// only.
func TestStop(t *testing.T) {
	warning := fault.New(fault.ParallelsLength, 0, 1024)
	l := layerOf(t, ext(0, 1536, present|zero, 0), ext(1536, 512, 0, 0))
	chaintest.AddFault(l, chaintest.Warn, warning)
	e, _, name := newEngine(t, func(int32, *session.Job) (*session.Layer, error) { return l, nil })
	r, err := e.MapFile(t.Context(), name, Options{Window: img.Whole, Release: 7<<16 | 2})
	if err != nil || r.Failed != warning || len(r.Warnings) > 0 || r.Map.End() != 0 {
		t.Errorf("%+v, %v", r, err) // the entry that still grows is lost
	}
	r, err = e.MapFile(t.Context(), name, whole)
	if err != nil || r.Failed != nil || r.Map.End() != 2048 {
		t.Errorf("by default: %+v, %v", r, err)
	}
}

// TestRefuse: an image that is refused late is refused when its data file is open, or because that
// is not there; the warnings of the layer come first.
func TestRefuse(t *testing.T) {
	refusal, warning := fault.New(fault.Qcow2VirtualSize,
		24), fault.New(fault.Qcow2BitmapsVoid, 104)
	e, _, name := newEngine(t, func(int32, *session.Job) (*session.Layer, error) {
		l := layerOf(t, ext(0, 512, present|zero, 0))
		chaintest.AddFault(l, chaintest.Warn, warning)
		chaintest.AddFault(l, chaintest.Refuse, refusal)
		l.References = []img.Reference{{Kind: img.DataFile, Name: "data"}}
		return l, nil
	})
	stderr := []string{warning.QemuWarning()}
	for _, there := range []bool{false, true} {
		if there {
			write(t, filepath.Join(filepath.Dir(name), "data"), "")
		}
		_, err := e.MapFile(t.Context(), name, Options{Window: img.Whole, Release: 7<<16 | 2})
		var named *failure.Error
		if !errors.As(err, &named) || !slices.Equal(named.QemuStderr(), stderr) {
			t.Fatalf("%v: %q", err, named.QemuStderr())
		}
		if errors.Is(err, os.ErrNotExist) == there || errors.Is(err, error(refusal)) != there {
			t.Errorf("data file there %t: %v", there, err)
		}
	}
}

// TestNoSuchReference: what cannot be a name or a format is refused without a look for the file.
func TestNoSuchReference(t *testing.T) {
	for _, test := range []struct {
		ref  img.Reference
		text string
	}{
		{img.Reference{Kind: img.Backing, Name: "none", Format: "qcox2"}, "Unknown driver 'qcox2'"},
		{img.Reference{Kind: img.Backing, Name: "none", Format: "vmdk-sparse"},
			"Unknown driver 'vmdk-sparse'"},
		{img.Reference{Kind: img.DataFile}, "The 'file' block driver requires a file name"},
		{img.Reference{Kind: img.Backing, Name: "file:"},
			"The 'file' block driver requires a file name"},
	} {
		e, _, name := newEngine(t, func(int32, *session.Job) (*session.Layer, error) {
			l := layerOf(t, ext(0, 512, present|zero, 0))
			l.References = []img.Reference{test.ref}
			return l, nil
		})
		_, err := e.MapFile(t.Context(), name, Options{Window: img.Whole, Release: 7<<16 | 2})
		want := test.text
		if test.ref.Kind == img.Backing {
			want = "Could not open backing file: " + want
		}
		var named *failure.Error
		if !errors.As(err, &named) || named.QemuText() != want {
			t.Errorf("%+v: %v", test.ref, err)
		}
	}
}

package vmdk_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"instarfs/guest/fault"
	"instarfs/guest/format/qemutest"
	"instarfs/guest/format/vmdk/vmdktest"
	"instarfs/guest/img"
)

// compareRefusal compares a fault with what the installed qemu-img prints for a VMDK in a directory
// with the files a and b.
func compareRefusal(t *testing.T, name string, b []byte, f *fault.Fault) {
	t.Run(name, func(t *testing.T) {
		dir := t.TempDir()
		for name, content := range map[string][]byte{
			"disk": b, "a": make([]byte, 4096), "b": nil, strings.Repeat("x", 255): nil,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		qemutest.CompareRefusal(t, dir, "disk", "vmdk", f)
	})
}

// TestVectorsAgainstQemuImg compares the faults of the vectors with the installed qemu-img, except
// where that crashes. It opens the files of a descriptor line by line, so that a fault in one of
// them comes before a fault in a later line, which this package finds first.
func TestVectorsAgainstQemuImg(t *testing.T) {
	for _, v := range headers {
		if v.kind != "KDMV" || v.text == "" {
			continue
		}
		s := vmdktest.NewSparse(v.kind, 1000, 128)
		v.spoil(s)
		_, f := walk(t, driverOf(v.kind), s.Bytes(), qemu, img.Whole)
		compareRefusal(t, v.name, s.Bytes(), f)
	}
	for _, v := range texts {
		r, f := walk(t, driverOf("KDMV"), []byte(intro+v.text), qemu, img.Whole)
		alone := f == nil || f.Reason != fault.VmdkFlatOffset
		if f == nil {
			for _, ref := range r.References {
				alone = alone && ref.Kind == img.DataFile && len(ref.Name) < 256
			}
		}
		if alone {
			compareRefusal(t, v.name, []byte(intro+v.text), f)
		}
	}
}

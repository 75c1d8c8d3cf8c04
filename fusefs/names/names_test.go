package names

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		include, exclude []string
		shown, hidden    string
	}{
		{nil, nil, "a.qcow2 d/b.RAW c.img e.vhdx f.avhdx g.hdd h.LUKS",
			"a a.txt qcow2 .qcow2.bak x.map.json a.iso"},
		{[]string{"*.bin", "vm/*"}, nil, "a.bin d/e.bin vm/anything",
			"a.qcow2 d/vm/anything other/vm/x"},
		{nil, []string{"*.raw", "old/*"}, "a.img older/x.img", "a.raw d/a.raw old/x.img"},
		{[]string{"*"}, []string{"secret"}, "a d/b", "secret d/secret"},
		{[]string{"**/vm/*.bin", "x/**"}, nil, "vm/a.bin d/vm/a.bin d/e/vm/a.bin x/a x/y/z",
			"a.bin vm/d/a.bin a.qcow2"},
		{[]string{"disk[0-9].{raw,bin}"}, nil, "disk1.raw d/disk2.bin", "disk1.img diskx.raw"},
	} {
		n, err := New(c.include, c.exclude)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range strings.Fields(c.shown) {
			if !n.Image(file, false) {
				t.Errorf("include %q exclude %q: %s is not shown", c.include, c.exclude, file)
			}
		}
		for _, file := range strings.Fields(c.hidden) {
			if n.Image(file, false) {
				t.Errorf("include %q exclude %q: %s is shown", c.include, c.exclude, file)
			}
		}
	}
}

// TestDevices: a device needs no name, and is left out like a file.
func TestDevices(t *testing.T) {
	n, err := New([]string{"*.bin"}, []string{"loop*"})
	if err != nil {
		t.Fatal(err)
	}
	if !n.Image("sda", true) || n.Image("sda", false) || n.Image("loop0", true) {
		t.Error("sda must be shown if it is a device, loop0 never")
	}
}

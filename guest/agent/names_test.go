package main

import (
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/format"
	"instarfs/guest/format/all"
)

// TestFormatNames holds the host's table of names against the drivers, which the host does not link.
func TestFormatNames(t *testing.T) {
	for id := format.ID(1); id < format.IDs; id++ {
		d := all.ByID(id)
		if d == nil || d.ID != id || d.Name == "" || abi.FormatName(uint32(id)) != d.Name || abi.FormatID(d.Name) != uint32(id) {
			t.Errorf("format %d: driver %+v, name %q in the ABI", id, d, abi.FormatName(uint32(id)))
		}
	}
	if abi.FormatName(uint32(format.IDs)) != "" || abi.FormatID("bogus") != 0 {
		t.Error("the ABI names a format that does not exist")
	}
}

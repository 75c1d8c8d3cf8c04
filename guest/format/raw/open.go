// Package raw maps images without any structure: byte x of the virtual disk is byte x of the
// file. It reads nothing. What of the file is a hole only the host can tell, so the one extent
// it emits asks the host to look.
package raw

import (
	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the raw format. Any device is a raw image, and a weak one: every other format that
// knows its signature wins.
var Driver = format.Driver{
	Format: img.Raw,
	Probe:  func(*[format.HeadLen]byte, uint64, bool) int { return 1 },
	Open:   open,
}

type image struct{ size uint64 }

func open(p *format.Params) (format.Image, *fault.Fault) {
	n := p.Dev.Size()
	if n > block.MaxOffset {
		return nil, fault.New(fault.RawTooLarge, 0)
	}
	return image{block.Length(p.Dev)}, nil
}

// Size is the device's size rounded up to 512 bytes.
func (m image) Size() uint64 { return m.size }

// References is empty: nothing in a raw image is a name.
func (m image) References() []img.Reference { return nil }

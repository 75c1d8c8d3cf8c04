// Package raw maps images without a structure: byte x of the virtual disk is byte x of the
// file. It reads nothing. Only the host knows the holes of the file, so the one extent that it
// emits asks the host to look for them.
package raw

import (
	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the raw format. Any device is a raw image, with the lowest score: every format with
// a signature wins.
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

// Size returns the size of the device in bytes, rounded up to 512.
func (m image) Size() uint64 { return m.size }

// References returns nil: raw images name no files.
func (m image) References() []img.Reference { return nil }

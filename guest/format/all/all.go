// Package all is the one ordered table of image formats.
package all

import (
	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/format/bochs"
	"instarfs/guest/format/cloop"
	"instarfs/guest/format/dmg"
	"instarfs/guest/format/luks"
	"instarfs/guest/format/parallels"
	"instarfs/guest/format/qcow"
	"instarfs/guest/format/qcow2"
	"instarfs/guest/format/qed"
	"instarfs/guest/format/raw"
	"instarfs/guest/format/vdi"
	"instarfs/guest/format/vhdx"
	"instarfs/guest/format/vmdk"
	"instarfs/guest/format/vpc"
	"instarfs/guest/img"
)

// drivers are in the order of the numbers of img.Format, which is the order of qemu's list.
var drivers = [...]format.Driver{
	raw.Driver,
	qcow2.Driver,
	qcow.Driver,
	qed.Driver,
	vdi.Driver,
	vmdk.Driver,
	vpc.Driver,
	vhdx.Driver,
	parallels.Driver,
	luks.Driver,
	dmg.Driver,
	cloop.Driver,
	bochs.Driver,
	vmdk.SparseDriver,
	vmdk.SESparseDriver,
}

// Probe finds the format of a device by its first bytes, padded with zeroes, by its size in
// bytes, and by whether the name of the file ends in ".dmg" after at least one other character.
// The highest score wins, on a tie the first driver. The result is never nil: a device that no
// other driver claims is raw, and so is an empty one.
func Probe(head *[format.HeadLen]byte, size uint64, dmg bool) *format.Driver {
	best, top := &drivers[0], 0
	if size == 0 {
		return best
	}
	for i := range drivers {
		if score := drivers[i].Probe(head, size, dmg); score > top {
			best, top = &drivers[i], score
		}
	}
	return best
}

// Choose returns the driver of the wanted format, or the one that Probe finds if none is
// wanted. dmg reports whether the name of the file ends in ".dmg". The fault is UnknownFormat
// for a number that is no format.
func Choose(want img.Format, dev block.Device, dmg bool) (*format.Driver, *fault.Fault) {
	driver := ByFormat(want)
	if want == img.Unknown {
		head, f := block.Take(dev, format.HeadLen)
		if f != nil {
			return nil, f
		}
		if f := block.ReadOne(dev, head, 0); f != nil {
			return nil, f
		}
		driver = Probe((*[format.HeadLen]byte)(head), dev.Size(), dmg)
	}
	if driver == nil {
		return nil, fault.New(fault.UnknownFormat, 0, uint64(want))
	}
	return driver, nil
}

// ByFormat returns the driver of a format, or nil if there is none.
func ByFormat(id img.Format) *format.Driver {
	if !id.Known() {
		return nil
	}
	return &drivers[id-img.Raw]
}

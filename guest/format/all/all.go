// Package all is the one ordered table of image formats.
package all

import (
	"instarfs/guest/format"
	"instarfs/guest/format/qcow2"
	"instarfs/guest/format/raw"
)

// drivers is in the order of format's numbers, which is that of qemu's list. Entries without Open are recognised, so that
// nothing is taken for raw that qemu would not take for raw, but cannot be mapped yet.
var drivers = [...]format.Driver{
	raw.Driver,
	qcow2.Driver,
	{ID: format.Qcow, Name: "qcow", Probe: probeQcow},
	{ID: format.Qed, Name: "qed", Probe: probeQed},
	{ID: format.Vdi, Name: "vdi", Probe: probeVdi},
	{ID: format.Vmdk, Name: "vmdk", Probe: probeVmdk},
	{ID: format.Vpc, Name: "vpc", Probe: probeVpc},
	{ID: format.Vhdx, Name: "vhdx", Probe: probeVhdx},
	{ID: format.Parallels, Name: "parallels", Probe: probeParallels},
	{ID: format.Luks, Name: "luks", Probe: probeLuks},
	{ID: format.Dmg, Name: "dmg", Probe: probeDmg},
	{ID: format.Cloop, Name: "cloop", Probe: probeCloop},
	{ID: format.Bochs, Name: "bochs", Probe: probeBochs},
}

// Probe finds the format of a device by the first bytes of it, zero padded, its size in bytes and whether the file's name
// ends in ".dmg" behind at least one other character. The highest score wins, on a tie the first driver. There always is an
// answer: what nobody claims is raw, and so is a device without bytes.
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

// ByID returns the driver with a number, or nil if there is none.
func ByID(id format.ID) *format.Driver {
	if id < format.Raw || id >= format.IDs {
		return nil
	}
	return &drivers[id-format.Raw]
}

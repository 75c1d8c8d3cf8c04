// Package dmg maps Apple disk images (UDIF).
//
// docs: block/dmg.c of qemu; Apple publishes no specification.
package dmg

import "instarfs/guest/format"

// Driver is the dmg format.
var Driver = format.Driver{ID: format.Dmg, Name: "dmg", Probe: probe}

// probe goes by the name alone: the signature is at the end of the file, where no probe looks.
func probe(_ *[format.HeadLen]byte, _ uint64, dmg bool) int { return format.Score(dmg, format.Weak) }

// Package cloop maps compressed loop devices.
//
// docs: block/cloop.c of qemu; the tools of cloop-utils.
package cloop

import "instarfs/guest/format"

const script = "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"

// Driver is the cloop format.
var Driver = format.Driver{ID: format.Cloop, Name: "cloop", Probe: probe}

func probe(h *[format.HeadLen]byte, _ uint64, _ bool) int {
	return format.Score(string(h[:len(script)]) == script, format.Weak)
}

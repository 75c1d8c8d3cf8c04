// Package img holds the nouns that the host and the guest share: the formats of images, the files
// that an image names, the part of a disk that is mapped, and the release of qemu-img whose
// behaviour is asked for. It interprets nothing, and it is a leaf.
package img

import "strings"

// Format is the number of an image format in the protocol between host and guest (package abi).
type Format uint32

// The formats, in the order of qemu's list of drivers: on a tie of probing scores the first one
// wins.
const (
	Unknown Format = iota // none; as a wish: probe
	Raw
	Qcow2
	Qcow
	Qed
	Vdi
	Vmdk
	Vpc
	Vhdx
	Parallels
	Luks
	Dmg
	Cloop
	Bochs
	VmdkSparse
	VmdkSESparse
	Formats // how many there are, Unknown included
)

// formats is the one table of what is known of a format by its number.
var formats = [Formats]struct {
	name       string   // as -f takes it and as messages show it
	extensions []string // of files that are usually images in this format, lower case
	// part: a file that holds a part of a disk which another file describes. It is never probed,
	// and only that other file may say that something has this format.
	part bool
}{
	Raw:          {name: "raw", extensions: []string{"raw", "img", "dd"}},
	Qcow2:        {name: "qcow2", extensions: []string{"qcow2", "qcow2c"}},
	Qcow:         {name: "qcow", extensions: []string{"qcow"}},
	Qed:          {name: "qed", extensions: []string{"qed"}},
	Vdi:          {name: "vdi", extensions: []string{"vdi"}},
	Vmdk:         {name: "vmdk", extensions: []string{"vmdk"}},
	Vpc:          {name: "vpc", extensions: []string{"vhd", "vpc"}},
	Vhdx:         {name: "vhdx", extensions: []string{"vhdx", "avhdx"}},
	Parallels:    {name: "parallels", extensions: []string{"hdd", "hds"}},
	Luks:         {name: "luks", extensions: []string{"luks"}},
	Dmg:          {name: "dmg", extensions: []string{"dmg"}},
	Cloop:        {name: "cloop"},
	Bochs:        {name: "bochs"},
	VmdkSparse:   {name: "vmdk-sparse", part: true},
	VmdkSESparse: {name: "vmdk-sesparse", part: true},
}

// Known reports whether f is the number of a format. Unknown is not.
func (f Format) Known() bool { return f > Unknown && f < Formats }

// String returns the name of f, or "" if f is not Known.
func (f Format) String() string {
	if !f.Known() {
		return ""
	}
	return formats[f].name
}

// IsPart reports whether files in f hold a part of a disk that another file describes.
func (f Format) IsPart() bool { return f.Known() && formats[f].part }

// ParseFormat returns the format with a name, or Unknown if there is none.
func ParseFormat(name string) Format {
	for f := Raw; f < Formats; f++ {
		if formats[f].name == name {
			return f
		}
	}
	return Unknown
}

// HasExtension reports whether a file's name ends as the names of images do. Case does not
// matter: images that come from other systems often have names like DISK.VHD.
func HasExtension(file string) bool {
	dot := strings.LastIndexByte(file, '.')
	if dot < 0 {
		return false
	}
	ext := strings.ToLower(file[dot+1:])
	for f := range formats {
		for _, e := range formats[f].extensions {
			if e == ext {
				return true
			}
		}
	}
	return false
}

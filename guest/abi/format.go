package abi

// formatNames are the names that -f takes and messages show, by format.ID: the host does not link the formats.
var formatNames = [...]string{
	"", "raw", "qcow2", "qcow", "qed", "vdi", "vmdk", "vpc", "vhdx", "parallels", "luks", "dmg", "cloop", "bochs", "vmdk-sparse", "vmdk-sesparse",
}

// FormatIsPart reports whether a format.ID is one of the files that hold a part of a disk that another file describes. Only
// that file may say that something has such a format.
func FormatIsPart(id uint32) bool {
	return FormatName(id) == "vmdk-sparse" || FormatName(id) == "vmdk-sesparse"
}

// FormatName is the name of a format.ID, empty for none and for numbers that are not one.
func FormatName(id uint32) string {
	if id >= uint32(len(formatNames)) {
		return ""
	}
	return formatNames[id]
}

// FormatID is the format.ID of a name, 0 where there is none.
func FormatID(name string) uint32 {
	for id, n := range formatNames {
		if n == name {
			return uint32(id)
		}
	}
	return 0
}

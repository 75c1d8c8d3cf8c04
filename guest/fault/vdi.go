package fault

const (
	VdiSignature Reason = vdiBlock + iota
	VdiSize
	VdiVersion
	VdiMapOffset
	VdiDataOffset
	VdiSectorSize
	VdiBlockSize
	VdiMapTooSmall
	VdiLink
	VdiParent
	VdiBlocks
)

// vdi words the reasons of package vdi.
var vdi = [...]row{
	VdiSignature - vdiBlock: {class: InvalidSource, field: "u32Signature",
		text: "Image not in VDI format (bad signature {text})"},
	VdiSize - vdiBlock: {class: LimitExceeded, field: "cbDisk",
		text: "Unsupported VDI image size (size is 0x{0:x}, max supported is 0x{1:x})"},
	VdiVersion - vdiBlock: {class: Unsupported, field: "u32Version",
		text: "unsupported VDI image (version {0}.{1})"},
	VdiMapOffset - vdiBlock: {class: Unsupported, field: "offBlocks",
		text: "unsupported VDI image (unaligned block map offset 0x{0:x})"},
	VdiDataOffset - vdiBlock: {class: Unsupported, field: "offData",
		text: "unsupported VDI image (unaligned data offset 0x{0:x})"},
	VdiSectorSize - vdiBlock: {class: Unsupported, field: "cbSector",
		text: "unsupported VDI image (sector size {0} is not 512)"},
	VdiBlockSize - vdiBlock: {class: Unsupported, field: "cbBlock",
		text: "unsupported VDI image (block size {0} is not 1048576)"},
	VdiMapTooSmall - vdiBlock: {class: Corrupt, field: "cBlocks",
		text: "unsupported VDI image (disk size {0}, image bitmap has room for {1})"},
	VdiLink - vdiBlock: {class: HasBacking, field: "uuidLinkage",
		text: "unsupported VDI image (non-NULL link UUID)"},
	VdiParent - vdiBlock: {class: HasBacking, field: "uuidParentModify",
		text: "unsupported VDI image (non-NULL parent UUID)"},
	VdiBlocks - vdiBlock: {class: LimitExceeded, field: "cBlocks",
		text: "unsupported VDI image (too many blocks {0}, max is {1})"},
}

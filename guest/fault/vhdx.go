package fault

const (
	VhdxSignature Reason = vhdxBlock + iota
	VhdxNoHeader
	VhdxLogOffset
	VhdxLogVersion
	VhdxLogLength
	VhdxLogRead
	VhdxLogDescriptor
	VhdxLogDirty
	VhdxLogTooLong
	VhdxLogWork
	VhdxLogChanges
	VhdxLogTruncated
	VhdxRegionChecksum
	VhdxRegionSignature
	VhdxRegionCount
	VhdxRegionOverlap
	VhdxRegionTwice
	VhdxRegionUnknown
	VhdxRegionMissing
	VhdxMetadataRead
	VhdxMetadataSignature
	VhdxMetadataCount
	VhdxItemTwice
	VhdxItemUnknown
	VhdxItemMissing
	VhdxItemRead
	VhdxDifferencing
	VhdxNoLocator
	VhdxBlockSize
	VhdxSectorSize
	VhdxTableSize
	VhdxTableRead
	VhdxBlockOverflow
	VhdxBlockStart
	VhdxBlockEnd
	VhdxBlockOverlap
	VhdxBlockState
	VhdxNoBitmap
	VhdxDiskSize
	VhdxDiskTooLarge
	VhdxLocatorType
	VhdxLocatorLength
	VhdxNoParent
	VhdxParentLength
)

// The texts of error numbers that are all that qemu-img says.
const (
	einval  = "Invalid argument"
	enotsup = "Operation not supported"
	eio     = "Input/output error"
)

// vhdx words the reasons of package vhdx. For most of them qemu-img has no words.
var vhdx = [...]row{
	VhdxSignature - vhdxBlock: {class: InvalidSource, field: "file type identifier",
		text: "not a VHDX image", bare: true, told: einval},
	VhdxNoHeader - vhdxBlock: {class: Corrupt, field: "header",
		text: "No valid VHDX header found"},
	VhdxLogOffset - vhdxBlock: {class: Corrupt, field: "LogOffset",
		text: "offset {0:#x} of the log", bare: true, told: einval},
	VhdxLogVersion - vhdxBlock: {class: Unsupported, field: "LogVersion",
		text: "version {0} of the log", bare: true, told: einval},
	VhdxLogLength - vhdxBlock: {class: Corrupt, field: "LogLength",
		text: "length {0:#x} of the log", bare: true, told: einval},
	VhdxLogRead - vhdxBlock: {class: Corrupt, field: "LogOffset",
		text: "log at {0:#x}, where no file reaches", bare: true, told: eio},
	VhdxLogDescriptor - vhdxBlock: {class: Corrupt, field: "log descriptor",
		text: "descriptor {0} of an entry is damaged", bare: true, told: einval},
	VhdxLogDirty - vhdxBlock: {class: Unsupported, field: "log",
		text: "contains a log that needs to be replayed",
		told: "VHDX image file '{file}' opened read-only, but contains a log that needs to be " +
			"replayed\nTo replay the log, run:\nqemu-img check -r all '{file}'"},
	VhdxLogTooLong - vhdxBlock: {class: LimitExceeded, field: "LogLength",
		text: "a log of {0} bytes, {1} are allowed"},
	VhdxLogWork - vhdxBlock: {class: LimitExceeded, field: "log",
		text: "entries overlap too much to be searched", bare: true, told: einval},
	VhdxLogChanges - vhdxBlock: {class: LimitExceeded, field: "log",
		text: "more than {0} changes to be replayed"},
	VhdxLogTruncated - vhdxBlock: {class: Corrupt, field: "FlushedFileOffset",
		text: "the file has {0} bytes and had {1} when the log was written"},
	VhdxRegionChecksum - vhdxBlock: {class: Corrupt, field: "region table",
		text: "incorrect checksum", bare: true, told: einval},
	VhdxRegionSignature - vhdxBlock: {class: Corrupt, field: "region table", text: "no signature",
		bare: true, told: einval},
	VhdxRegionCount - vhdxBlock: {class: LimitExceeded,
		field: "EntryCount of the region table", text: "{0} entries, 2047 are allowed", bare: true,
		told: einval},
	VhdxRegionOverlap - vhdxBlock: {class: Corrupt, field: "region table",
		text: "VHDX region {text}", bare: true, told: einval, reported: true},
	VhdxRegionTwice - vhdxBlock: {class: Corrupt, field: "region table",
		text: "two entries for one region", bare: true, told: einval},
	VhdxRegionUnknown - vhdxBlock: {class: Unsupported, field: "region table",
		text: "a required region that nobody knows", bare: true, told: enotsup},
	VhdxRegionMissing - vhdxBlock: {class: Corrupt, field: "region table",
		text: "no entry for the BAT or the metadata", bare: true, told: einval},
	VhdxMetadataRead - vhdxBlock: {class: Corrupt, field: "region table",
		text: "metadata at {0:#x}, where no file reaches", bare: true, told: eio},
	VhdxMetadataSignature - vhdxBlock: {class: Corrupt, field: "metadata table",
		text: "no signature", bare: true, told: einval},
	VhdxMetadataCount - vhdxBlock: {class: LimitExceeded, field: "EntryCount of the metadata table",
		text: "{0} entries, 2047 are allowed", bare: true, told: einval},
	VhdxItemTwice - vhdxBlock: {class: Corrupt, field: "metadata table",
		text: "two entries for one item", bare: true, told: einval},
	VhdxItemUnknown - vhdxBlock: {class: Unsupported, field: "metadata table",
		text: "a required item that nobody knows", bare: true, told: enotsup},
	VhdxItemMissing - vhdxBlock: {class: Corrupt, field: "metadata table",
		text: "an item is missing that every image has", bare: true, told: enotsup},
	VhdxItemRead - vhdxBlock: {class: Corrupt, field: "metadata table",
		text: "an item at {0:#x}, where no file reaches", bare: true, told: eio},
	VhdxDifferencing - vhdxBlock: {class: Unsupported, field: "metadata table",
		text: "an image with a parent", bare: true, told: enotsup},
	VhdxNoLocator - vhdxBlock: {class: Corrupt, field: "metadata table",
		text: "an image with a parent and without a parent locator", bare: true, told: einval},
	VhdxBlockSize - vhdxBlock: {class: Corrupt, field: "BlockSize", text: "blocks of {0} bytes",
		bare: true, told: einval},
	VhdxSectorSize - vhdxBlock: {class: Unsupported, field: "LogicalSectorSize",
		text: "sectors of {0} bytes", bare: true, told: enotsup},
	VhdxTableSize - vhdxBlock: {class: Corrupt, field: "BAT",
		text: "{0} entries are needed and {1} are there", bare: true, told: einval},
	VhdxTableRead - vhdxBlock: {class: Corrupt, field: "BAT",
		text: "{0} bytes at {1:#x} are more than can be read", bare: true, told: eio},
	VhdxBlockOverflow - vhdxBlock: {class: Corrupt, field: "BAT entry",
		text: "VHDX BAT entry {0} offset overflow.", bare: true, told: einval, reported: true},
	VhdxBlockStart - vhdxBlock: {class: Corrupt, field: "BAT entry",
		text: "VHDX BAT entry {0} start offset {1} points after end of file ({2}). Image has " +
			"probably been truncated.", bare: true, told: einval, reported: true},
	VhdxBlockEnd - vhdxBlock: {class: Corrupt, field: "BAT entry",
		text: "VHDX BAT entry {0} end offset {1} points after end of file ({2}). Image has " +
			"probably been truncated.", bare: true, told: einval, reported: true},
	VhdxBlockOverlap - vhdxBlock: {class: Corrupt, field: "BAT entry", text: "VHDX region {text}",
		bare: true, told: einval, reported: true},
	VhdxBlockState - vhdxBlock: {class: Corrupt, field: "BAT entry",
		text: "a block of this image cannot be in state {0}"},
	VhdxNoBitmap - vhdxBlock: {class: Corrupt, field: "BAT entry",
		text: "a part of the block is here, and no sector bitmap block says which"},
	VhdxDiskSize - vhdxBlock: {class: LimitExceeded, field: "VirtualDiskSize",
		text: "Could not refresh total sector count: File too large"},
	VhdxDiskTooLarge - vhdxBlock: {class: LimitExceeded, field: "VirtualDiskSize",
		text: "a disk of {0} bytes, {1} are allowed"},
	VhdxLocatorType - vhdxBlock: {class: Unsupported, field: "LocatorType",
		text: "a parent that is no VHDX image"},
	VhdxLocatorLength - vhdxBlock: {class: LimitExceeded, field: "parent locator",
		text: "a locator of {0} bytes, {1} are allowed"},
	VhdxNoParent - vhdxBlock: {class: Corrupt, field: "parent locator",
		text: "no path leads to the parent"},
	VhdxParentLength - vhdxBlock: {class: LimitExceeded, field: "parent locator",
		text: "the path of the parent has {0} bytes, {1} are allowed"},
}

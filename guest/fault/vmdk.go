package fault

const (
	VmdkDescriptor Reason = vmdkBlock + iota
	VmdkTooSmall
	VmdkDescriptorRead
	VmdkCreateType
	VmdkExtentLine
	VmdkExtentType
	VmdkFlatOffset
	VmdkParentHint
	VmdkNoCID
	VmdkNoParentCID
	VmdkNotSparse
	VmdkFooterRead
	VmdkFooter
	VmdkVersion
	VmdkTableSize
	VmdkEntryReach
	VmdkTruncated
	VmdkGranularity
	VmdkDirectorySize
	VmdkDirectoryRead
	VmdkBackupRead
	VmdkTooLarge
	VmdkConstMagic
	VmdkConstVersion
	VmdkConstGrainSize
	VmdkConstTableSize
	VmdkConstFlags
	VmdkConstReserved
	VmdkConstPadding
	VmdkVolatileRead
	VmdkVolatileMagic
	VmdkVolatileDirty
	VmdkVolatilePadding
	VmdkNoEntry
	VmdkDirectoryEntry
	VmdkTableEntry
)

// vmdk words the reasons of package vmdk.
var vmdk = [...]row{
	VmdkDescriptor - vmdkBlock: {class: InvalidSource, field: "descriptor",
		text: "invalid VMDK image descriptor"},
	VmdkTooSmall - vmdkBlock: {class: InvalidSource, field: "length of the file",
		text: "File is too small, not a valid image"},
	VmdkDescriptorRead - vmdkBlock: {class: Corrupt, field: "descriptorOffset",
		text: "Could not read from file: Input/output error"},
	VmdkCreateType - vmdkBlock: {class: Unsupported, field: "createType",
		text: "Unsupported image type '{text}'"},
	VmdkExtentLine - vmdkBlock: {class: Corrupt, field: "extent description",
		text: "Invalid extent line: {text}"},
	VmdkExtentType - vmdkBlock: {class: Unsupported, field: "extent description",
		text: "Unsupported extent type '{text}'"},
	VmdkFlatOffset - vmdkBlock: {class: LimitExceeded, field: "extent description",
		text: "an extent begins at sector {0} of its file, which no file has"},
	VmdkParentHint - vmdkBlock: {class: Corrupt, field: "parentFileNameHint",
		text: "Invalid argument", bare: true},
	VmdkNoCID - vmdkBlock: {class: Corrupt, field: "CID", text: "Invalid argument",
		bare: true},
	VmdkNoParentCID - vmdkBlock: {class: Corrupt, field: "parentCID", text: "Invalid argument",
		bare: true},
	VmdkNotSparse - vmdkBlock: {class: InvalidSource, field: "magicNumber",
		text: "Image not in VMDK format"},
	VmdkFooterRead - vmdkBlock: {class: Corrupt, field: "footer",
		text: "Failed to read footer: Input/output error"},
	VmdkFooter - vmdkBlock: {class: Corrupt, field: "footer", text: "Invalid footer"},
	VmdkVersion - vmdkBlock: {class: Unsupported, field: "version",
		text: "Unsupported VMDK version {0}"},
	VmdkTableSize - vmdkBlock: {class: LimitExceeded, field: "numGTEsPerGT",
		text: "L2 table size too big"},
	VmdkEntryReach - vmdkBlock: {class: Corrupt, field: "grainSize",
		text: "L1 entry size is invalid"},
	VmdkTruncated - vmdkBlock: {class: Corrupt, field: "overHead",
		text: "File truncated, expecting at least {text} bytes"},
	VmdkGranularity - vmdkBlock: {class: LimitExceeded, field: "grainSize",
		text: "Invalid granularity, image may be corrupt"},
	VmdkDirectorySize - vmdkBlock: {class: LimitExceeded, field: "grain directory",
		text: "L1 size too big"},
	VmdkDirectoryRead - vmdkBlock: {class: Corrupt, field: "gdOffset",
		text: "Could not read l1 table from extent '{file}': Input/output error"},
	VmdkBackupRead - vmdkBlock: {class: Corrupt, field: "rgdOffset",
		text: "Could not read l1 backup table from extent '{file}': Input/output error"},
	VmdkTooLarge - vmdkBlock: {class: LimitExceeded, field: "capacity",
		text: "Could not refresh total sector count: File too large"},
	VmdkConstMagic - vmdkBlock: {class: InvalidSource, field: "magic of the constant header",
		text: "Bad const header magic: 0x{text}"},
	VmdkConstVersion - vmdkBlock: {class: Unsupported, field: "version",
		text: "Unsupported version: 0x{text}"},
	VmdkConstGrainSize - vmdkBlock: {class: Unsupported, field: "grainSize",
		text: "Unsupported grain size: {0}"},
	VmdkConstTableSize - vmdkBlock: {class: Unsupported, field: "grainTableSize",
		text: "Unsupported grain table size: {0}"},
	VmdkConstFlags - vmdkBlock: {class: Unsupported, field: "flags",
		text: "Unsupported flags: 0x{text}"},
	VmdkConstReserved - vmdkBlock: {class: Unsupported, field: "reserved fields",
		text: "Unsupported reserved bits:{text}"},
	VmdkConstPadding - vmdkBlock: {class: Unsupported, field: "padding of the constant header",
		text: "Unsupported non-zero const header padding"},
	VmdkVolatileRead - vmdkBlock: {class: Corrupt, field: "volatileHeaderOffset",
		text: "Could not read volatile header from file '{file}': Input/output error"},
	VmdkVolatileMagic - vmdkBlock: {class: Corrupt, field: "magic of the volatile header",
		text: "Bad volatile header magic: 0x{text}"},
	VmdkVolatileDirty - vmdkBlock: {class: Unsupported, field: "replayJournal",
		text: "Image is dirty, Replaying journal not supported"},
	VmdkVolatilePadding - vmdkBlock: {class: Unsupported, field: "padding of the volatile header",
		text: "Unsupported non-zero volatile header padding"},
	VmdkNoEntry - vmdkBlock: {class: Corrupt, field: "grain directory",
		text: "the grain directory of {0} entries ends before the disk does"},
	VmdkDirectoryEntry - vmdkBlock: {class: Corrupt, field: "grain directory entry",
		text: "entry {0:#x} points to no grain table"},
	VmdkTableEntry - vmdkBlock: {class: Corrupt, field: "grain table entry",
		text: "entry {0:#x} is of no known kind"},
}

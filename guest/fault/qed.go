package fault

const (
	QedMagic Reason = qedBlock + iota
	QedFeatures
	QedClusterSize
	QedTableSize
	QedImageSize
	QedTableOffset
	QedHeaderSize
	QedBackingNameOffset
	QedBackingNameRead
	QedVirtualSize
	QedL2Offset
	QedClusterOffset
	QedRunLength
)

// qed words the reasons of package qed.
var qed = [...]row{
	QedMagic - qedBlock: {class: InvalidSource, field: "magic",
		text: "Image not in QED format"},
	QedFeatures - qedBlock: {class: Unsupported, field: "features",
		text: "Unsupported QED features: {0:x}"},
	QedClusterSize - qedBlock: {class: Corrupt, field: "cluster_size",
		text: "QED cluster size is invalid"},
	QedTableSize - qedBlock: {class: Corrupt, field: "table_size",
		text: "QED table size is invalid"},
	QedImageSize - qedBlock: {class: Corrupt, field: "image_size",
		text: "QED image size is invalid"},
	QedTableOffset - qedBlock: {class: Corrupt, field: "l1_table_offset",
		text: "QED table offset is invalid"},
	QedHeaderSize - qedBlock: {class: Corrupt, field: "header_size",
		text: "QED header size is too large"},
	QedBackingNameOffset - qedBlock: {class: Corrupt, field: "backing_filename_offset",
		text: "QED backing filename offset is invalid"},
	QedBackingNameRead - qedBlock: {class: LimitExceeded, field: "backing_filename_size",
		text: "Failed to read backing filename: Invalid argument"},
	QedVirtualSize - qedBlock: {class: LimitExceeded, field: "image_size",
		text: "Could not refresh total sector count: File too large"},
	QedL2Offset - qedBlock: {class: Corrupt, field: "L1 table entry",
		text: "L2 table offset {0:#x} is not that of a table", ends: endsWithEINVAL},
	QedClusterOffset - qedBlock: {class: Corrupt, field: "L2 table entry",
		text: "cluster offset {0:#x} is not that of a cluster", ends: endsWithEINVAL},
	QedRunLength - qedBlock: {class: Corrupt, field: "L2 table", text: noProgress, aborts: true},
}

package fault

const (
	QcowMagic Reason = qcowBlock + iota
	QcowVersion
	QcowIsQcow2
	QcowSize
	QcowClusterSize
	QcowL2Size
	QcowCryptMethod
	QcowNeedsKey
	QcowTooLarge
	QcowL1Read
	QcowBackingNameLength
	QcowBackingNameRead
	QcowL2Read
	QcowClusterOffset
)

// qcow words the reasons of package qcow.
var qcow = [...]row{
	QcowMagic - qcowBlock: {class: InvalidSource, field: "magic",
		text: "Image not in qcow format"},
	QcowVersion - qcowBlock: {class: Unsupported, field: "version",
		text: "qcow (v1) does not support qcow version {0}"},
	QcowIsQcow2 - qcowBlock: {class: InvalidSource, field: "version",
		text: "qcow (v1) does not support qcow version {0}, but the qcow2 driver does",
		told: "qcow (v1) does not support qcow version {0}\nTry the 'qcow2' driver instead."},
	QcowSize - qcowBlock: {class: Corrupt, field: "size",
		text: "Image size is too small (must be at least 2 bytes)"},
	QcowClusterSize - qcowBlock: {class: Corrupt, field: "cluster_bits",
		text: "Cluster size must be between 512 and 64k"},
	QcowL2Size - qcowBlock: {class: Corrupt, field: "l2_bits",
		text: "L2 table size must be between 512 and 64k"},
	QcowCryptMethod - qcowBlock: {class: Unsupported, field: "crypt_method",
		text: "invalid encryption method in qcow header"},
	QcowNeedsKey - qcowBlock: {class: NeedsKey, field: "crypt_method",
		text: "Parameter 'encrypt.key-secret' is required for cipher"},
	QcowTooLarge - qcowBlock: {class: LimitExceeded, field: "size",
		text: "Image too large"},
	QcowL1Read - qcowBlock: {class: Corrupt, field: "l1_table_offset",
		text: "Input/output error", bare: true},
	QcowBackingNameLength - qcowBlock: {class: Corrupt, field: "backing_file_size",
		text: "Backing file name too long"},
	QcowBackingNameRead - qcowBlock: {class: Corrupt, field: "backing_file_offset",
		text: "Input/output error", bare: true},
	QcowL2Read - qcowBlock: {class: Corrupt, field: "L1 table entry",
		text: "L2 table at {0} lies beyond the end of any file"},
	QcowClusterOffset - qcowBlock: {class: Corrupt, field: "L2 table entry",
		text: "cluster at {0} lies beyond the end of any file"},
}

package fault

const (
	Qcow2Magic Reason = qcow2Block + iota
	Qcow2Version
	Qcow2ClusterBits
	Qcow2HeaderShort
	Qcow2HeaderLong
	Qcow2BackingOffset
	Qcow2CompressionType
	Qcow2CompressionBitMissing
	Qcow2CompressionBitSet
	Qcow2Features
	Qcow2SubclusterSize
	Qcow2RefcountOrder
	Qcow2NoRefcountTable
	Qcow2RefcountTableSize
	Qcow2RefcountTableOffset
	Qcow2RefcountTableRead
	Qcow2SnapshotCount
	Qcow2SnapshotOffset
	Qcow2SnapshotRead
	Qcow2SnapshotExtra
	Qcow2SnapshotTableSize
	Qcow2L1Size
	Qcow2L1Offset
	Qcow2L1Read
	Qcow2ImageTooBig
	Qcow2L1TooSmall
	Qcow2CryptMethod
	Qcow2ExtensionTooLarge
	Qcow2BackingFormatLength
	Qcow2CryptoUnexpected
	Qcow2CryptoLength
	Qcow2CryptoOffset
	Qcow2NeedsKey
	Qcow2NoCryptoHeader
	Qcow2NoDataFileName
	Qcow2DataFileNameLength
	Qcow2RawWithoutDataFile
	Qcow2BackingNameLength
	Qcow2BitmapsLength
	Qcow2BitmapsReserved
	Qcow2BitmapsCount
	Qcow2BitmapsNone
	Qcow2BitmapsOffset
	Qcow2BitmapsSize
	Qcow2BitmapsEmpty
	Qcow2BitmapsRead
	Qcow2BitmapsBroken
	Qcow2BitmapsMore
	Qcow2BitmapsLess
	Qcow2BitmapExtra
	Qcow2BitmapConstraints
	Qcow2BitmapExists
	Qcow2BitmapTable
	Qcow2BitmapData
	Qcow2BitmapTablesSize
	Qcow2VirtualSize
	Qcow2L2Unaligned
	Qcow2ClusterUnaligned
	Qcow2ZeroInV2
	Qcow2CompressedWithDataFile
	Qcow2DataFileOffset
	Qcow2InvalidSubcluster
	Qcow2RefblockUnaligned
	Qcow2BitmapsVoid
	Qcow2BitmapsInV2
	Qcow2BitmapTableRead
)

// qcow2 words the reasons of package qcow2. qemu-img prints those that MarksCorrupt reports between
// "qcow2: Image is corrupt: " and "; further non-fatal corruption events will be suppressed".
var qcow2 = [...]row{
	Qcow2Magic - qcow2Block: {class: InvalidSource, field: "magic",
		text: "Image is not in qcow2 format"},
	Qcow2Version - qcow2Block: {class: Unsupported, field: "version",
		text: "Unsupported qcow2 version {0}"},
	Qcow2ClusterBits - qcow2Block: {class: Corrupt, field: "cluster_bits",
		text: "Unsupported cluster size: 2^{0}"},
	Qcow2HeaderShort - qcow2Block: {class: Corrupt, field: "header_length",
		text: "qcow2 header too short"},
	Qcow2HeaderLong - qcow2Block: {class: Corrupt, field: "header_length",
		text: "qcow2 header exceeds cluster size"},
	Qcow2BackingOffset - qcow2Block: {class: Corrupt, field: "backing_file_offset",
		text: "Invalid backing file offset"},
	Qcow2CompressionType - qcow2Block: {class: Unsupported, field: "compression_type",
		text: "qcow2: unknown compression type: {0}"},
	Qcow2CompressionBitMissing - qcow2Block: {class: Corrupt, field: "incompatible_features",
		text: "qcow2: Compression type incompatible feature bit must be set"},
	Qcow2CompressionBitSet - qcow2Block: {class: Corrupt, field: "incompatible_features",
		text: "qcow2: Compression type incompatible feature bit must not be set"},
	Qcow2Features - qcow2Block: {class: Unsupported, field: "incompatible_features",
		text: "Unsupported qcow2 feature(s): {text}"},
	Qcow2SubclusterSize - qcow2Block: {class: Corrupt, field: "cluster_bits",
		text: "Unsupported subcluster size: {0}"},
	Qcow2RefcountOrder - qcow2Block: {class: Corrupt, field: "refcount_order",
		text: "Reference count entry width too large; may not exceed 64 bits"},
	Qcow2NoRefcountTable - qcow2Block: {class: Corrupt, field: "refcount_table_clusters",
		text: "Image does not contain a reference count table"},
	Qcow2RefcountTableSize - qcow2Block: {class: LimitExceeded,
		field: "refcount_table_clusters", text: "Reference count table too large"},
	Qcow2RefcountTableOffset - qcow2Block: {class: Corrupt, field: "refcount_table_offset",
		text: "Reference count table offset invalid"},
	Qcow2RefcountTableRead - qcow2Block: {class: Corrupt, field: "refcount_table_offset",
		text: "Could not initialize refcount handling: Input/output error"},
	Qcow2SnapshotCount - qcow2Block: {class: LimitExceeded, field: "nb_snapshots",
		text: "Snapshot table too large"},
	Qcow2SnapshotOffset - qcow2Block: {class: Corrupt, field: "snapshots_offset",
		text: "Snapshot table offset invalid"},
	Qcow2SnapshotRead - qcow2Block: {class: Corrupt, field: "snapshots_offset",
		text: "Failed to read snapshot table: Input/output error"},
	Qcow2SnapshotExtra - qcow2Block: {class: LimitExceeded, field: "extra_data_size",
		text: "Too much extra metadata in snapshot table entry {0}",
		hint: "You can force-remove this extra metadata with qemu-img check -r all"},
	Qcow2SnapshotTableSize - qcow2Block: {class: LimitExceeded, field: "snapshot table",
		text: "Snapshot table is too big",
		hint: "You can force-remove all {0} overhanging snapshots with qemu-img check -r all"},
	Qcow2L1Size - qcow2Block: {class: LimitExceeded, field: "l1_size",
		text: "Active L1 table too large"},
	Qcow2L1Offset - qcow2Block: {class: Corrupt, field: "l1_table_offset",
		text: "Active L1 table offset invalid"},
	Qcow2L1Read - qcow2Block: {class: Corrupt, field: "l1_table_offset",
		text: "Could not read L1 table: Input/output error"},
	Qcow2ImageTooBig - qcow2Block: {class: LimitExceeded, field: "size",
		text: "Image is too big"},
	Qcow2L1TooSmall - qcow2Block: {class: Corrupt, field: "l1_size",
		text: "L1 table is too small"},
	Qcow2CryptMethod - qcow2Block: {class: Unsupported, field: "crypt_method",
		text: "Unsupported encryption method {text}"},
	Qcow2ExtensionTooLarge - qcow2Block: {class: Corrupt, field: "header extension length",
		text: "Header extension too large"},
	Qcow2BackingFormatLength - qcow2Block: {class: LimitExceeded,
		field: "backing file format name",
		text:  "ERROR: ext_backing_format: len={0} too large (>=16)"},
	Qcow2CryptoUnexpected - qcow2Block: {class: Corrupt,
		field: "full disk encryption header pointer",
		text:  "CRYPTO header extension only expected with LUKS encryption method"},
	Qcow2CryptoLength - qcow2Block: {class: Corrupt,
		field: "full disk encryption header pointer",
		text:  "CRYPTO header extension size {0}, but expected size 16"},
	Qcow2CryptoOffset - qcow2Block: {class: Corrupt,
		field: "full disk encryption header pointer",
		text:  "Encryption header offset '{0}' is not a multiple of cluster size '{1}'"},
	Qcow2NeedsKey - qcow2Block: {class: NeedsKey, field: "crypt_method",
		text: "Parameter 'encrypt.key-secret' is required for cipher"},
	Qcow2NoCryptoHeader - qcow2Block: {class: Corrupt, field: "crypt_method",
		text: "Missing CRYPTO header for crypt method {0}"},
	Qcow2NoDataFileName - qcow2Block: {class: Corrupt, field: "external data file name",
		text: "'data-file' is required for this image"},
	Qcow2DataFileNameLength - qcow2Block: {class: LimitExceeded,
		field: "external data file name", text: "data file name of {0} bytes or more is too long"},
	Qcow2RawWithoutDataFile - qcow2Block: {class: Corrupt, field: "autoclear_features",
		text: "data-file-raw requires a data file"},
	Qcow2BackingNameLength - qcow2Block: {class: LimitExceeded, field: "backing_file_size",
		text: "Backing file name too long"},
	Qcow2BitmapsLength - qcow2Block: {class: Corrupt, field: "bitmaps extension",
		text: "bitmaps_ext: Invalid extension length"},
	Qcow2BitmapsReserved - qcow2Block: {class: Corrupt, field: "bitmaps extension",
		text: "bitmaps_ext: Reserved field is not zero"},
	Qcow2BitmapsCount - qcow2Block: {class: LimitExceeded, field: "nb_bitmaps",
		text: "bitmaps_ext: Image has {0} bitmaps, exceeding the QEMU supported maximum of 65535"},
	Qcow2BitmapsNone - qcow2Block: {class: Corrupt, field: "nb_bitmaps",
		text: "found bitmaps extension with zero bitmaps"},
	Qcow2BitmapsOffset - qcow2Block: {class: Corrupt, field: "bitmap_directory_offset",
		text: "bitmaps_ext: invalid bitmap directory offset"},
	Qcow2BitmapsSize - qcow2Block: {class: LimitExceeded, field: "bitmap_directory_size",
		text: "bitmaps_ext: bitmap directory size ({0}) exceeds the maximum supported size " +
			"(67107840)"},
	Qcow2BitmapsEmpty - qcow2Block: {class: Corrupt, field: "bitmap_directory_size",
		text: "Requested bitmap directory size is zero"},
	Qcow2BitmapsRead - qcow2Block: {class: Corrupt, field: "bitmap_directory_offset",
		text: "Failed to read bitmap directory: Input/output error"},
	Qcow2BitmapsBroken - qcow2Block: {class: Corrupt, field: "bitmap directory",
		text: "Broken bitmap directory"},
	Qcow2BitmapsMore - qcow2Block: {class: Corrupt, field: "nb_bitmaps",
		text: "More bitmaps found than specified in header extension"},
	Qcow2BitmapsLess - qcow2Block: {class: Corrupt, field: "nb_bitmaps",
		text: "Less bitmaps found than specified in header extension"},
	Qcow2BitmapExtra - qcow2Block: {class: Unsupported, field: "extra_data_size",
		text: "Bitmap extra data is not supported"},
	Qcow2BitmapConstraints - qcow2Block: {class: Corrupt, field: "bitmap directory",
		text: "Bitmap '{text}' doesn't satisfy the constraints"},
	Qcow2BitmapExists - qcow2Block: {class: Corrupt, field: "bitmap name",
		text: "Bitmap already exists: {text}"},
	Qcow2BitmapTable - qcow2Block: {class: Corrupt, field: "bitmap_table",
		text: "Could not read bitmap_table table from image for bitmap '{text}': Invalid argument"},
	Qcow2BitmapData - qcow2Block: {class: Corrupt, field: "bitmap_table_size",
		text: "Could not read bitmap '{text}' from image: Invalid argument"},
	Qcow2BitmapTablesSize - qcow2Block: {class: LimitExceeded, field: "bitmap_table_size",
		text: "bitmap tables of more than {0} bytes in an image of {1}"},
	Qcow2VirtualSize - qcow2Block: {class: LimitExceeded, field: "size",
		text: "Could not refresh total sector count: File too large"},
	Qcow2L2Unaligned - qcow2Block: {class: Corrupt, field: "L1 table entry",
		text: "L2 table offset {0:#x} unaligned (L1 index: {1:#x})"},
	Qcow2ClusterUnaligned - qcow2Block: {class: Corrupt, field: "L2 table entry",
		text: "Cluster allocation offset {0:#x} unaligned (L2 offset: {1:#x}, L2 index: {2:#x})"},
	Qcow2ZeroInV2 - qcow2Block: {class: Corrupt, field: "L2 table entry",
		text: "Zero cluster entry found in pre-v3 image (L2 offset: {0:#x}, L2 index: {1:#x})"},
	Qcow2CompressedWithDataFile - qcow2Block: {class: Corrupt, field: "L2 table entry",
		text: "Compressed cluster entry found in image with external data file (L2 offset: " +
			"{0:#x}, L2 index: {1:#x})"},
	Qcow2DataFileOffset - qcow2Block: {class: Corrupt, field: "L2 table entry",
		text: "External data file host cluster offset {0:#x} does not match guest cluster " +
			"offset: {1:#x}, L2 index: {2:#x})"},
	Qcow2InvalidSubcluster - qcow2Block: {class: Corrupt, field: "L2 table entry",
		text: "Invalid cluster entry found  (L2 offset: {0:#x}, L2 index: {1:#x})"},
	Qcow2RefblockUnaligned - qcow2Block: {class: Corrupt, field: "refcount table entry",
		text: "Refblock offset {0:#x} unaligned (reftable index: {1:#x})"},

	// These follow those of a walk, see MarksCorrupt.
	Qcow2BitmapsVoid - qcow2Block: {class: Corrupt, field: "autoclear_features",
		hint: leakedClusters,
		text: "a program lacking bitmap support modified this file, " +
			"so all bitmaps are now considered inconsistent"},
	Qcow2BitmapsInV2 - qcow2Block: {class: Corrupt, field: "version", hint: leakedClusters,
		text: "This qcow2 v2 image contains bitmaps, but they may have been modified by a " +
			"program without persistent bitmap support; so now they must all be considered " +
			"inconsistent"},
	Qcow2BitmapTableRead - qcow2Block: {class: Corrupt, field: "bitmap_table_offset",
		text: "Could not read bitmap_table table from image for bitmap '{text}': " +
			"Input/output error"},
}

// MarksCorrupt reports whether f is an entry that a walk of a qcow2 finds corrupt. qemu-img says of
// these, and of no others, that the image is corrupt.
func (f *Fault) MarksCorrupt() bool {
	return f.Reason >= Qcow2L2Unaligned && f.Reason <= Qcow2RefblockUnaligned
}

// leakedClusters follows the warnings of bitmaps.
const leakedClusters = "Some clusters may be leaked, " +
	"run 'qemu-img check -r' on the image file to fix."

package fault

const (
	ParallelsMagic Reason = parallelsBlock + iota
	ParallelsNoTracks
	ParallelsTracks
	ParallelsCatalog
	ParallelsVirtualSize
	ParallelsLength
	ParallelsExtensionSign
	ParallelsExtensionRead
	ParallelsExtensionSize
	ParallelsExtensionMagic
	ParallelsExtensionChecksum
	ParallelsFeatureHeader
	ParallelsFeatureFlags
	ParallelsFeatureSize
	ParallelsFeature
	ParallelsBitmapSmall
	ParallelsBitmapSize
	ParallelsBitmapGranularity
	ParallelsBitmapL1
	ParallelsBitmapL1Size
	ParallelsBitmapExists
	ParallelsBitmaps
	ParallelsExtensionOffset
	ParallelsCatalogSmall
	ParallelsBitmapAbort
	ParallelsBitmapData
)

// parallels words the reasons of package parallels.
var parallels = [...]row{
	ParallelsMagic - parallelsBlock: {class: InvalidSource, field: "magic",
		text: "Image not in Parallels format"},
	ParallelsNoTracks - parallelsBlock: {class: Corrupt, field: "tracks",
		text: "Invalid image: Zero sectors per track"},
	ParallelsTracks - parallelsBlock: {class: LimitExceeded, field: "tracks",
		text: "Invalid image: Too big cluster"},
	ParallelsCatalog - parallelsBlock: {class: LimitExceeded, field: "bat_entries",
		text: "Catalog too large"},
	ParallelsVirtualSize - parallelsBlock: {class: LimitExceeded, field: "nb_sectors",
		text: "Could not refresh total sector count: File too large"},
	ParallelsLength - parallelsBlock: {class: Unsupported, field: "nb_sectors", text: noProgress,
		aborts: true, stops: true},
	ParallelsExtensionSign - parallelsBlock: {class: Corrupt, field: "ext_off", aborts: true,
		text: "../../block/parallels-ext.c:287: parallels_read_format_extension: Assertion " +
			"`ext_off > 0' failed."},
	ParallelsExtensionRead - parallelsBlock: {class: Corrupt, field: "ext_off",
		text: "Failed to read Format Extension cluster: Input/output error"},
	ParallelsExtensionSize - parallelsBlock: {class: LimitExceeded, field: "tracks",
		text: "a format extension in a cluster of {0} bytes is not looked at"},
	ParallelsExtensionMagic - parallelsBlock: {class: Corrupt, field: "format extension",
		text: "Wrong parallels Format Extension magic: 0x{0:x}, expected: 0xab234cef23dcea87"},
	ParallelsExtensionChecksum - parallelsBlock: {class: Corrupt, field: "format extension",
		text: "Wrong checksum in Format Extension header. Format extension is corrupted."},
	ParallelsFeatureHeader - parallelsBlock: {class: Corrupt, field: "feature header",
		text: "Can not read feature header, as remaining bytes ({0}) in Format Extension is less " +
			"than Feature header size ({1})"},
	ParallelsFeatureFlags - parallelsBlock: {class: Unsupported, field: "flags",
		text: "Flags for extension feature are unsupported"},
	ParallelsFeatureSize - parallelsBlock: {class: Corrupt, field: "data_size",
		text: "Feature data_size exceedes Format Extension cluster"},
	ParallelsFeature - parallelsBlock: {class: Unsupported, field: "feature magic",
		text: "Unknown feature: 0x{0:x}"},
	ParallelsBitmapSmall - parallelsBlock: {class: Corrupt, field: "dirty bitmap",
		text: "Too small Bitmap Feature area in Parallels Format Extension: {0} bytes, expected " +
			"at least {1} bytes"},
	ParallelsBitmapSize - parallelsBlock: {class: Corrupt, field: "dirty bitmap size",
		text: "Bitmap size (in sectors) {0:d} differs from disk size in sectors {1:d}"},
	ParallelsBitmapGranularity - parallelsBlock: {class: Corrupt, field: "dirty bitmap granularity",
		text: "Invalid bitmap granularity {0}, expected a power of two of at least {1} bytes"},
	ParallelsBitmapL1 - parallelsBlock: {class: Corrupt, field: "dirty bitmap l1_size",
		text: "Bitmaps feature corrupted: l1 table exceeds extension data_size"},
	ParallelsBitmapL1Size - parallelsBlock: {class: Corrupt, field: "dirty bitmap l1_size",
		text: "Bitmap table size {0} does not correspond to bitmap size and cluster size. " +
			"Expected {1}"},
	ParallelsBitmapExists - parallelsBlock: {class: Corrupt, field: "dirty bitmap id",
		text: "Bitmap already exists: {text}"},
	ParallelsExtensionOffset - parallelsBlock: {class: Corrupt, field: "ext_off",
		text: "Invalid image: Too big offset"},
	ParallelsCatalogSmall - parallelsBlock: {class: Corrupt, field: "bat_entries",
		text: "Invalid image: Catalog size too small for advertised disk size"},
	ParallelsBitmapAbort - parallelsBlock: {class: Corrupt, field: "dirty bitmap granularity",
		text: badGranularity, aborts: true},
	ParallelsBitmapData - parallelsBlock: {class: Corrupt, field: "dirty bitmap L1 table",
		text: "Failed to read bitmap data cluster: Input/output error"},
	ParallelsBitmaps - parallelsBlock: {class: LimitExceeded, field: "format extension",
		text: "more than {0} dirty bitmaps are not looked at"},
}

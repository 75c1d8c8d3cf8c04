package fault

const (
	DmgTrailer Reason = dmgBlock + iota
	DmgSmall
	DmgDataFork
	DmgResourceFork
	DmgXML
	DmgSectors
	DmgNoTables
	DmgResourceData
	DmgResourceLength
	DmgResource
	DmgPlistLength
	DmgPlist
	DmgSectorCount
	DmgLength
	DmgVirtualSize
	DmgChunkType
	DmgBzip2
	DmgLZFSE
	DmgEncrypted
	DmgSegments
	DmgTables
	DmgChunks
	DmgChunkStart
	DmgOverlap
	DmgRaw
	DmgNoChunks
	DmgRawLength
)

const invalid = "Invalid argument"

// dmg words the reasons of package dmg.
var dmg = [...]row{
	DmgTrailer - dmgBlock: {class: InvalidSource, field: "koly",
		text: "Could not locate UDIF trailer in dmg file"},
	DmgSmall - dmgBlock: {class: InvalidSource, field: "length of the file",
		text: "dmg file must be at least 512 bytes long"},
	DmgDataFork - dmgBlock: {class: Corrupt, field: "DataForkOffset", text: invalid,
		bare: true},
	DmgResourceFork - dmgBlock: {class: Corrupt, field: "RsrcForkOffset", text: invalid,
		bare: true},
	DmgXML - dmgBlock:      {class: Corrupt, field: "XMLOffset", text: invalid, bare: true},
	DmgSectors - dmgBlock:  {class: Corrupt, field: "SectorCount", text: invalid, bare: true},
	DmgNoTables - dmgBlock: {class: Corrupt, field: "XMLLength", text: invalid, bare: true},
	DmgResourceData - dmgBlock: {class: Corrupt, field: "offset of the resource data",
		text: invalid, bare: true},
	DmgResourceLength - dmgBlock: {class: Corrupt, field: "length of the resource data",
		text: invalid, bare: true},
	DmgResource - dmgBlock: {class: Corrupt, field: "length of a resource", text: invalid,
		bare: true},
	DmgPlistLength - dmgBlock: {class: LimitExceeded, field: "length of the property list",
		text: invalid, bare: true},
	DmgPlist - dmgBlock: {class: Corrupt, field: "end of a <data> element", text: invalid,
		bare: true},
	DmgSectorCount - dmgBlock: {class: LimitExceeded, field: "sectors of a chunk", bare: true,
		told: invalid, reported: true,
		text: "sector count {0} for chunk {1} is larger than max ({2})"},
	DmgLength - dmgBlock: {class: LimitExceeded, field: "length of a chunk", bare: true,
		told: invalid, reported: true,
		text: "length {0} for chunk {1} is larger than max ({2})"},
	DmgVirtualSize - dmgBlock: {class: LimitExceeded, field: "SectorCount",
		text: "Could not refresh total sector count: File too large"},
	DmgChunkType - dmgBlock: {class: Unsupported, field: "type of a chunk",
		text: "Image contains chunks of unknown type {0:x}, accessing them will result in I/O " +
			"errors"},
	DmgBzip2 - dmgBlock: {class: Unsupported, field: "type of a chunk",
		text: "dmg-bzip2 module is missing, accessing bzip2 compressed blocks will result in I/O " +
			"errors"},
	DmgLZFSE - dmgBlock: {class: Unsupported, field: "type of a chunk",
		text: "dmg-lzfse module is missing, accessing lzfse compressed blocks will result in I/O " +
			"errors"},
	DmgEncrypted - dmgBlock: {class: NeedsKey, field: "signature",
		text: "the image is encrypted as a whole, its tables included"},
	DmgSegments - dmgBlock: {class: Unsupported, field: "SegmentCount",
		text: "the image is split into {0} files"},
	DmgTables - dmgBlock: {class: LimitExceeded, field: "block tables",
		text: "tables of {0} bytes, more than {1}, are not looked at"},
	DmgChunks - dmgBlock: {class: LimitExceeded, field: "block tables",
		text: "more than {0} extents"},
	DmgChunkStart - dmgBlock: {class: Corrupt, field: "start of a chunk",
		text: "sector {0} behind sector {1} is none"},
	DmgOverlap - dmgBlock: {class: Corrupt, field: "start of a chunk",
		text: "two chunks hold sector {0}"},
	DmgNoChunks - dmgBlock: {class: Unsupported, field: "block tables", bare: true, told: invalid,
		text: "no chunk of a type that qemu reads"},
	DmgRawLength - dmgBlock: {class: Corrupt, field: "length of a chunk", bare: true, told: invalid,
		reported: true,
		text:     "length {0} for chunk {1} is inconsistent with sector count {2}"},
	DmgRaw - dmgBlock: {class: Corrupt, field: "length of a chunk",
		text: "{0} bytes at {1} are not those of {2} sectors"},
}

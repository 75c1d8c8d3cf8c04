package fault

const (
	CloopBlockSize Reason = cloopBlock + iota
	CloopBlockSizeUnit
	CloopBlockSizeLarge
	CloopBlocks
	CloopNoOffsets
	CloopOffsets
	CloopOffsetOrder
	CloopCompressedSize
)

// cloop words the reasons of package cloop.
var cloop = [...]row{
	CloopBlockSize - cloopBlock: {class: InvalidSource, field: "block_size",
		text: "block_size cannot be zero"},
	CloopBlockSizeUnit - cloopBlock: {class: InvalidSource, field: "block_size",
		text: "block_size {0} must be a multiple of 512"},
	CloopBlockSizeLarge - cloopBlock: {class: LimitExceeded, field: "block_size",
		text: "block_size {0} must be 64 MB or less"},
	CloopBlocks - cloopBlock: {class: LimitExceeded, field: "n_blocks",
		text: "n_blocks {0} must be 536870911 or less"},
	CloopNoOffsets - cloopBlock: {class: LimitExceeded, field: "n_blocks",
		text: "Could not allocate offsets table"},
	CloopOffsets - cloopBlock: {class: LimitExceeded, field: "n_blocks",
		text: "image requires too many offsets, try increasing block size"},
	CloopOffsetOrder - cloopBlock: {class: Corrupt, field: "offset of a block",
		text: "offsets not monotonically increasing at index {0}, image file is corrupt"},
	CloopCompressedSize - cloopBlock: {class: Corrupt, field: "offset of a block",
		text: "invalid compressed block size at index {0}, image file is corrupt"},
}

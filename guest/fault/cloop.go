package fault

const (
	CloopBlockSize Reason = cloopBlock + iota
)

// cloop words the reasons of package cloop.
var cloop = [...]row{
	CloopBlockSize - cloopBlock: {class: InvalidSource, field: "block_size", text: "block_size cannot be zero"},
}

package fault

const (
	LuksMagic Reason = luksBlock + iota
	LuksVersion
	LuksNeedsKey
	LuksDetached
	LuksHeaderSize
	LuksJSON
	LuksNoSegments
	LuksSegments
	LuksSegment
	LuksSegmentType
	LuksSize
)

// luks words the reasons of package luks.
var luks = [...]row{
	LuksMagic - luksBlock: {class: InvalidSource, field: "magic",
		text: "Volume is not in LUKS format"},
	LuksVersion - luksBlock: {class: Unsupported, field: "version",
		text: "LUKS version {0} is not supported"},
	LuksNeedsKey - luksBlock: {class: NeedsKey, field: "key-secret",
		text: "Parameter 'key-secret' is required for cipher"},
	LuksDetached - luksBlock: {class: Unsupported, field: "payload offset",
		text: "the data starts at {0} of {1} bytes: it lies in another file, or the file was cut"},
	LuksHeaderSize - luksBlock: {class: Corrupt, field: "hdr_size",
		text: "a header of {0} bytes is none of 16 KiB to 4 MiB"},
	LuksJSON - luksBlock: {class: Corrupt, field: "JSON area",
		text: "the metadata is not JSON as LUKS2 has it"},
	LuksNoSegments - luksBlock: {class: Corrupt, field: "segments", text: "no segment holds data"},
	LuksSegments - luksBlock: {class: LimitExceeded, field: "segments",
		text: "more than {0} segments"},
	LuksSegment - luksBlock: {class: Corrupt, field: "segment",
		text: "segment {0} has no good offset or size, or another has its number"},
	LuksSegmentType - luksBlock: {class: Unsupported, field: "segment",
		text: "segment {0} has an unknown type"},
	LuksSize - luksBlock: {class: LimitExceeded, field: "segments",
		text: "the disk is larger than 2^63 bytes"},
}

package fault

// Reason is one row of a table. Numbers cross the ABI: host and guest are of one build, so they may
// change between builds. Those of a block follow each other from a multiple of blockLen on.
type Reason uint16

// blockLen is how many reasons a block may have.
const blockLen = 128

// The blocks: what can be wrong with any image, and with an image of a format.
const (
	generalBlock = iota * blockLen
	rawBlock
	qcow2Block
	qcowBlock
	qedBlock
	vdiBlock
	vmdkBlock
	vpcBlock
	vhdxBlock
	parallelsBlock
	luksBlock
	dmgBlock
	cloopBlock
	bochsBlock
)

// blocks are the tables, one a block, in a file each but for the small ones here.
var blocks = [...][]row{
	generalBlock / blockLen:   general[:],
	rawBlock / blockLen:       raw[:],
	qcow2Block / blockLen:     qcow2[:],
	qcowBlock / blockLen:      qcow[:],
	qedBlock / blockLen:       qed[:],
	vdiBlock / blockLen:       vdi[:],
	vmdkBlock / blockLen:      vmdk[:],
	vpcBlock / blockLen:       vpc[:],
	vhdxBlock / blockLen:      vhdx[:],
	parallelsBlock / blockLen: parallels[:],
	luksBlock / blockLen:      luks[:],
	dmgBlock / blockLen:       dmg[:],
	cloopBlock / blockLen:     cloop[:],
	bochsBlock / blockLen:     bochs[:],
}

// row words one reason. text is qemu-img's own wording where qemu-img has the same complaint.
type row struct {
	class       Class
	field, text string
	// bare: qemu's driver gives an error number and no text of its own, so that qemu-img names the
	// file once more in front.
	bare bool
	// told is what qemu-img says where its words are not those of text; there may be more than one
	// line.
	told string
	// hint is what qemu-img adds on a line of its own, after a warning without the end of the line.
	hint string
	// reported: qemu-img prints text too, on a line of its own in front.
	reported bool
	// ends is the last line of a qemu-img that meets it while it maps, if that is not about EIO.
	ends string
	// aborts: that line is text, an assertion that fails.
	aborts bool
	// stops is explained at Fault.Stops.
	stops bool
}

const endsWithEINVAL = "Could not read file metadata: Invalid argument"

const (
	None Reason = generalBlock + iota
	DeviceRead
	DeviceTooLarge
	UnknownFormat
	BadConfig
	TooManyReferences
	NoMemory
	NoSize
	SizeWraps
)

// The verbs of texts are explained at Fault.expand.
var general = [...]row{
	None:       {class: OK, field: "nothing", text: "no error"},
	DeviceRead: {class: IO, field: "device", text: "Input/output error"},
	DeviceTooLarge: {class: LimitExceeded, field: "device",
		text: "file of {0} bytes is too large"},
	UnknownFormat: {class: InvalidOption, field: "format", text: "unknown format number {0}"},
	BadConfig: {class: InvalidOption, field: "configuration",
		text: "field {0} of the configuration is not understood"},
	TooManyReferences: {class: LimitExceeded, field: "references",
		text: "more than {0} references to other files"},
	NoMemory: {class: LimitExceeded, field: "guest memory",
		text: "no {0} bytes of memory are left"},
	NoSize: {class: LimitExceeded, field: "number of sectors", stops: true,
		text: "the size of the disk in bytes has more than 64 bits",
		ends: "Failed to get size for '{file}'"},
	SizeWraps: {class: LimitExceeded, field: "number of sectors",
		text: "the size of the disk in bytes does not fit in 64 bits",
		ends: "Could not read file metadata: File too large"},
}

const RawTooLarge Reason = rawBlock

var raw = [...]row{
	RawTooLarge - rawBlock: {class: LimitExceeded, field: "length of the file",
		text: "Could not refresh total sector count: File too large"},
}

func (r Reason) row() row {
	if !r.Known() {
		return row{class: Corrupt, field: "guest", text: "unknown reason"}
	}
	return blocks[r/blockLen][r%blockLen]
}

// Known reports whether r is a reason of this build.
func (r Reason) Known() bool {
	return int(r/blockLen) < len(blocks) && int(r%blockLen) < len(blocks[r/blockLen])
}

package fault

// Reason is one row of the table below. Numbers cross the ABI: append, never renumber within a format's block.
type Reason uint16

const (
	None Reason = iota
	DeviceRead
	DeviceTooLarge
	NotMapped
	UnknownFormat
	BadConfig
	TooManyReferences

	Qcow2Magic
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
	Qcow2CryptMethod
	Qcow2NoRefcountTable
	Qcow2RefcountTableSize
	Qcow2RefcountTableOffset
	Qcow2SnapshotCount
	Qcow2SnapshotOffset
	Qcow2L1Size
	Qcow2L1Offset
	Qcow2ImageTooBig
	Qcow2L1TooSmall
	Qcow2BackingNameLength
	Qcow2ExtensionTooLarge
	Qcow2NeedsKey
	Qcow2NoCryptoHeader
	Qcow2NoDataFileName
	Qcow2RawWithoutDataFile
	Qcow2Snapshots
	Qcow2Bitmaps
	Qcow2L2Unaligned
	Qcow2ClusterUnaligned
	Qcow2ZeroInV2
	Qcow2CompressedWithDataFile
	Qcow2DataFileOffset
	Qcow2InvalidSubcluster
	Qcow2RefblockUnaligned

	reasons
)

// row words one reason. text is qemu-img's own wording where qemu-img has the same complaint.
type row struct {
	class       Class
	field, text string
}

// The verbs of text are explained at Fault.expand.
var table = [reasons]row{
	None:              {OK, "nothing", "no error"},
	DeviceRead:        {IO, "device", "Input/output error"},
	DeviceTooLarge:    {LimitExceeded, "device", "file of {0} bytes is too large"},
	NotMapped:         {Unsupported, "signature", "{text} images are not mapped yet"},
	UnknownFormat:     {InvalidOption, "format", "unknown format number {0}"},
	BadConfig:         {InvalidOption, "configuration", "field {0} of the configuration is not understood"},
	TooManyReferences: {LimitExceeded, "references", "more than {0} references to other files"},

	Qcow2Magic: {InvalidSource, "qcow2 magic", "Image is not in qcow2 format"},
}

func (r Reason) row() row {
	if r >= reasons {
		return row{Corrupt, "guest", "unknown reason"}
	}
	return table[r]
}

// Known reports whether r is a reason of this build.
func (r Reason) Known() bool { return r < reasons }

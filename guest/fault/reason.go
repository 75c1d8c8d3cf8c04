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
	NoMemory

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

	RawTooLarge

	reasons
)

// row words one reason. text is qemu-img's own wording where qemu-img has the same complaint. What qcow2 says of an entry
// found corrupt during a walk (Qcow2L2Unaligned and below) qemu-img wraps in "qcow2: Image is corrupt: " and "; further
// non-fatal corruption events will be suppressed".
type row struct {
	class       Class
	field, text string
}

// The verbs of text are explained at Fault.expand.
var table = [reasons]row{
	None:              {OK, "nothing", "no error"},
	DeviceRead:        {IO, "device", "Input/output error"},
	DeviceTooLarge:    {LimitExceeded, "device", "file of {0} bytes is too large"},
	RawTooLarge:       {LimitExceeded, "length of the file", "Could not refresh total sector count: File too large"},
	NotMapped:         {Unsupported, "signature", "{text} images are not mapped yet"},
	UnknownFormat:     {InvalidOption, "format", "unknown format number {0}"},
	BadConfig:         {InvalidOption, "configuration", "field {0} of the configuration is not understood"},
	TooManyReferences: {LimitExceeded, "references", "more than {0} references to other files"},
	NoMemory:          {LimitExceeded, "guest memory", "no {0} bytes of memory are left"},

	Qcow2Magic:                 {InvalidSource, "magic", "Image is not in qcow2 format"},
	Qcow2Version:               {Unsupported, "version", "Unsupported qcow2 version {0}"},
	Qcow2ClusterBits:           {Corrupt, "cluster_bits", "Unsupported cluster size: 2^{0}"},
	Qcow2HeaderShort:           {Corrupt, "header_length", "qcow2 header too short"},
	Qcow2HeaderLong:            {Corrupt, "header_length", "qcow2 header exceeds cluster size"},
	Qcow2BackingOffset:         {Corrupt, "backing_file_offset", "Invalid backing file offset"},
	Qcow2CompressionType:       {Unsupported, "compression_type", "qcow2: unknown compression type: {0}"},
	Qcow2CompressionBitMissing: {Corrupt, "incompatible_features", "qcow2: Compression type incompatible feature bit must be set"},
	Qcow2CompressionBitSet:     {Corrupt, "incompatible_features", "qcow2: Compression type incompatible feature bit must not be set"},
	Qcow2Features:              {Unsupported, "incompatible_features", "Unsupported qcow2 feature(s): {text}"},
	Qcow2SubclusterSize:        {Corrupt, "cluster_bits", "Unsupported subcluster size: {0}"},
	Qcow2RefcountOrder:         {Corrupt, "refcount_order", "Reference count entry width too large; may not exceed 64 bits"},
	Qcow2NoRefcountTable:       {Corrupt, "refcount_table_clusters", "Image does not contain a reference count table"},
	Qcow2RefcountTableSize:     {LimitExceeded, "refcount_table_clusters", "Reference count table too large"},
	Qcow2RefcountTableOffset:   {Corrupt, "refcount_table_offset", "Reference count table offset invalid"},
	Qcow2RefcountTableRead:     {Corrupt, "refcount_table_offset", "Could not initialize refcount handling: Input/output error"},
	Qcow2SnapshotCount:         {LimitExceeded, "nb_snapshots", "Snapshot table too large"},
	Qcow2SnapshotOffset:        {Corrupt, "snapshots_offset", "Snapshot table offset invalid"},
	Qcow2SnapshotRead:          {Corrupt, "snapshots_offset", "Failed to read snapshot table: Input/output error"},
	Qcow2SnapshotExtra:         {LimitExceeded, "extra_data_size", "Too much extra metadata in snapshot table entry {0}"},
	Qcow2SnapshotTableSize:     {LimitExceeded, "snapshot table", "Snapshot table is too big"},
	Qcow2L1Size:                {LimitExceeded, "l1_size", "Active L1 table too large"},
	Qcow2L1Offset:              {Corrupt, "l1_table_offset", "Active L1 table offset invalid"},
	Qcow2L1Read:                {Corrupt, "l1_table_offset", "Could not read L1 table: Input/output error"},
	Qcow2ImageTooBig:           {LimitExceeded, "size", "Image is too big"},
	Qcow2L1TooSmall:            {Corrupt, "l1_size", "L1 table is too small"},
	Qcow2CryptMethod:           {Unsupported, "crypt_method", "Unsupported encryption method {text}"},
	Qcow2ExtensionTooLarge:     {Corrupt, "header extension length", "Header extension too large"},
	Qcow2BackingFormatLength:   {LimitExceeded, "backing file format name", "ERROR: ext_backing_format: len={0} too large (>=16)"},
	Qcow2CryptoUnexpected:      {Corrupt, "full disk encryption header pointer", "CRYPTO header extension only expected with LUKS encryption method"},
	Qcow2CryptoLength:          {Corrupt, "full disk encryption header pointer", "CRYPTO header extension size {0}, but expected size 16"},
	Qcow2CryptoOffset:          {Corrupt, "full disk encryption header pointer", "Encryption header offset '{0}' is not a multiple of cluster size '{1}'"},
	Qcow2NeedsKey:              {NeedsKey, "crypt_method", "Parameter 'encrypt.key-secret' is required for cipher"},
	Qcow2NoCryptoHeader:        {Corrupt, "crypt_method", "Missing CRYPTO header for crypt method {0}"},
	Qcow2NoDataFileName:        {Corrupt, "external data file name", "'data-file' is required for this image"},
	Qcow2DataFileNameLength:    {LimitExceeded, "external data file name", "data file name of {0} bytes or more is too long"},
	Qcow2RawWithoutDataFile:    {Corrupt, "autoclear_features", "data-file-raw requires a data file"},
	Qcow2BackingNameLength:     {LimitExceeded, "backing_file_size", "Backing file name too long"},
	Qcow2BitmapsLength:         {Corrupt, "bitmaps extension", "bitmaps_ext: Invalid extension length"},
	Qcow2BitmapsReserved:       {Corrupt, "bitmaps extension", "bitmaps_ext: Reserved field is not zero"},
	Qcow2BitmapsCount:          {LimitExceeded, "nb_bitmaps", "bitmaps_ext: Image has {0} bitmaps, exceeding the QEMU supported maximum of 65535"},
	Qcow2BitmapsNone:           {Corrupt, "nb_bitmaps", "found bitmaps extension with zero bitmaps"},
	Qcow2BitmapsOffset:         {Corrupt, "bitmap_directory_offset", "bitmaps_ext: invalid bitmap directory offset"},
	Qcow2BitmapsSize:           {LimitExceeded, "bitmap_directory_size", "bitmaps_ext: bitmap directory size ({0}) exceeds the maximum supported size (67107840)"},
	Qcow2BitmapsEmpty:          {Corrupt, "bitmap_directory_size", "Requested bitmap directory size is zero"},
	Qcow2BitmapsRead:           {Corrupt, "bitmap_directory_offset", "Failed to read bitmap directory: Input/output error"},
	Qcow2BitmapsBroken:         {Corrupt, "bitmap directory", "Broken bitmap directory"},
	Qcow2BitmapsMore:           {Corrupt, "nb_bitmaps", "More bitmaps found than specified in header extension"},
	Qcow2BitmapsLess:           {Corrupt, "nb_bitmaps", "Less bitmaps found than specified in header extension"},
	Qcow2BitmapExtra:           {Unsupported, "extra_data_size", "Bitmap extra data is not supported"},
	Qcow2BitmapConstraints:     {Corrupt, "bitmap directory", "Bitmap '{text}' doesn't satisfy the constraints"},
	Qcow2BitmapExists:          {Corrupt, "bitmap name", "Bitmap already exists: {text}"},
	Qcow2BitmapTable:           {Corrupt, "bitmap_table", "Could not read bitmap_table table from image for bitmap '{text}': Invalid argument"},
	Qcow2BitmapData:            {Corrupt, "bitmap_table_size", "Could not read bitmap '{text}' from image: Invalid argument"},
	Qcow2BitmapTablesSize:      {LimitExceeded, "bitmap_table_size", "bitmap tables of more than {0} bytes in an image of {1}"},
	Qcow2VirtualSize:           {LimitExceeded, "size", "Could not refresh total sector count: File too large"},

	Qcow2L2Unaligned:            {Corrupt, "L1 table entry", "L2 table offset {0:#x} unaligned (L1 index: {1:#x})"},
	Qcow2ClusterUnaligned:       {Corrupt, "L2 table entry", "Cluster allocation offset {0:#x} unaligned (L2 offset: {1:#x}, L2 index: {2:#x})"},
	Qcow2ZeroInV2:               {Corrupt, "L2 table entry", "Zero cluster entry found in pre-v3 image (L2 offset: {0:#x}, L2 index: {1:#x})"},
	Qcow2CompressedWithDataFile: {Corrupt, "L2 table entry", "Compressed cluster entry found in image with external data file (L2 offset: {0:#x}, L2 index: {1:#x})"},
	Qcow2DataFileOffset:         {Corrupt, "L2 table entry", "External data file host cluster offset {0:#x} does not match guest cluster offset: {1:#x}, L2 index: {2:#x})"},
	Qcow2InvalidSubcluster:      {Corrupt, "L2 table entry", "Invalid cluster entry found  (L2 offset: {0:#x}, L2 index: {1:#x})"},
	Qcow2RefblockUnaligned:      {Corrupt, "refcount table entry", "Refblock offset {0:#x} unaligned (reftable index: {1:#x})"},
}

func (r Reason) row() row {
	if r >= reasons {
		return row{Corrupt, "guest", "unknown reason"}
	}
	return table[r]
}

// Known reports whether r is a reason of this build.
func (r Reason) Known() bool { return r < reasons }

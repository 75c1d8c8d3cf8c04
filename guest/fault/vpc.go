package fault

const (
	VpcCookie Reason = vpcBlock + iota
	VpcTooShort
	VpcChecksum
	VpcTooLarge
	VpcHeaderRead
	VpcHeaderCookie
	VpcBlockSize
	VpcTableTooSmall
	VpcTableTooLarge
	VpcTableRead
	VpcTruncated
	VpcNoParent
	VpcParentLength
)

// vpc words the reasons of package vpc.
var vpc = [...]row{
	VpcCookie - vpcBlock: {class: InvalidSource, field: "cookie", text: "invalid VPC image"},
	VpcTooShort - vpcBlock: {class: InvalidSource, field: "hard disk footer",
		text: "File too small for a VHD header"},
	VpcChecksum - vpcBlock: {class: Corrupt, field: "checksum",
		text: "Incorrect header checksum"},
	VpcTooLarge - vpcBlock: {class: LimitExceeded, field: "current size",
		text: "File too large", bare: true},
	VpcHeaderRead - vpcBlock: {class: Corrupt, field: "data offset",
		text: "Error reading dynamic VHD header"},
	VpcHeaderCookie - vpcBlock: {class: Corrupt, field: "cookie of the dynamic disk header",
		text: "Invalid header magic"},
	VpcBlockSize - vpcBlock: {class: Corrupt, field: "block size",
		text: "Invalid block size {0}"},
	VpcTableTooSmall - vpcBlock: {class: Corrupt, field: "max table entries",
		text: "Page table too small"},
	VpcTableTooLarge - vpcBlock: {class: LimitExceeded, field: "max table entries",
		text: "Max Table Entries too large ({text})"},
	VpcTableRead - vpcBlock: {class: Corrupt, field: "table offset",
		text: "Error reading pagetable"},
	VpcTruncated - vpcBlock: {class: Corrupt, field: "block allocation table",
		text: "block-vpc: free_data_block_offset points after the end of file. The image has " +
			"been truncated."},
	VpcNoParent - vpcBlock: {class: Corrupt, field: "parent locator entry",
		text: "a differencing image that names no parent"},
	VpcParentLength - vpcBlock: {class: LimitExceeded, field: "platform data length",
		text: "the name of the parent has {0} bytes, {1} are allowed"},
}

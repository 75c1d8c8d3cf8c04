package fault

const (
	VmdkDescriptor Reason = vmdkBlock + iota
)

// vmdk words the reasons of package vmdk.
var vmdk = [...]row{
	VmdkDescriptor - vmdkBlock: {class: InvalidSource, field: "descriptor", text: "invalid VMDK image descriptor"},
}

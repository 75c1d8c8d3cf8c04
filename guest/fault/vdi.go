package fault

const (
	VdiSignature Reason = vdiBlock + iota
)

// vdi words the reasons of package vdi.
var vdi = [...]row{
	VdiSignature - vdiBlock: {class: InvalidSource, field: "signature", text: "Image not in VDI format (bad signature {0:x})"},
}

package fault

const (
	VhdxSignature Reason = vhdxBlock + iota
)

// vhdx words the reasons of package vhdx.
var vhdx = [...]row{
	VhdxSignature - vhdxBlock: {class: InvalidSource, field: "signature", text: "Invalid argument", bare: true},
}

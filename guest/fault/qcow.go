package fault

const (
	QcowMagic Reason = qcowBlock + iota
)

// qcow words the reasons of package qcow.
var qcow = [...]row{
	QcowMagic - qcowBlock: {class: InvalidSource, field: "magic", text: "Image not in qcow format"},
}

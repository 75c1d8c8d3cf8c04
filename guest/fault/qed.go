package fault

const (
	QedMagic Reason = qedBlock + iota
)

// qed words the reasons of package qed.
var qed = [...]row{
	QedMagic - qedBlock: {class: InvalidSource, field: "magic", text: "Image not in QED format"},
}

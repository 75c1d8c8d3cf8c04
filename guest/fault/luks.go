package fault

const (
	LuksMagic Reason = luksBlock + iota
)

// luks words the reasons of package luks.
var luks = [...]row{
	LuksMagic - luksBlock: {class: InvalidSource, field: "magic", text: "Volume is not in LUKS format"},
}

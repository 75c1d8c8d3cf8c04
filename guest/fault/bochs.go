package fault

const (
	BochsMagic Reason = bochsBlock + iota
)

// bochs words the reasons of package bochs.
var bochs = [...]row{
	BochsMagic - bochsBlock: {class: InvalidSource, field: "magic", text: "Image not in Bochs format"},
}

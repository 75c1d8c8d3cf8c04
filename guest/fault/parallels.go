package fault

const (
	ParallelsMagic Reason = parallelsBlock + iota
)

// parallels words the reasons of package parallels.
var parallels = [...]row{
	ParallelsMagic - parallelsBlock: {class: InvalidSource, field: "magic", text: "Image not in Parallels format"},
}

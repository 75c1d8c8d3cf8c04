package img

// Kind says what a referenced file is for.
type Kind uint32

// The kinds of references.
const (
	// Backing: unallocated extents are looked up there.
	Backing Kind = 1 + iota
	// DataFile: extents whose State.File is the reference's number lie there.
	DataFile
	// ExtentFile: the file's own map, made by a run of its own, says what the extents are whose
	// State.File is the reference's number.
	ExtentFile
	kinds
)

var kindNames = [kinds]string{Backing: "backing file", DataFile: "data file",
	ExtentFile: "extent file"}

// Known reports whether k is one of the kinds.
func (k Kind) Known() bool { return k > 0 && k < kinds }

// String is how messages name a file of that kind.
func (k Kind) String() string {
	if !k.Known() {
		return "file"
	}
	return kindNames[k]
}

// Reference is another file that an image names. Name and Format are bytes of the image: hostile.
type Reference struct {
	Kind   Kind
	Name   string
	Format string // the stored name of the file's format, empty if there is none
}

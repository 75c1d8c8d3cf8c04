package chain

import (
	"golang.org/x/sys/unix"

	"instarfs/guest/img"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
)

// Member is a file that a map shows in addition to the image itself.
type Member struct {
	At   files.Place
	Stat unix.Stat_t

	kind   img.Kind
	depth  int
	name   string       // as the file has it that names it
	label  string       // as it is shown
	reader image.Reader // what its locks may exclude
}

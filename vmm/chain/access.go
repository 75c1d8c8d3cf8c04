package chain

import "instarfs/vmm/files"

// Access is what an engine may open in addition to the images that it is told to map. What an image
// says is not enough.
type Access struct {
	files.Policy
	MaxDepth   int  // backing files under an image; 0 is DefaultMaxDepth
	ForceShare bool // ignore the locks of QEMU, see package image
}

// DefaultMaxDepth is how many backing files an image may have, one under the other, if Access does
// not say.
const DefaultMaxDepth = 64

// maxDepth is MaxDepth or its default.
func (a *Access) maxDepth() int {
	if a.MaxDepth == 0 {
		return DefaultMaxDepth
	}
	return a.MaxDepth
}

package fusefs

import "strings"

// View is one of the files that stand for an image.
type View uint8

const (
	JSON   View = iota + 1 // NAME.map.json
	Text                   // NAME.map.txt
	reason                 // NAME.map.err: why there is no map, see reason.go; never listed
)

// suffixes are what a view appends to the name of its image.
var suffixes = [...]string{JSON: ".map.json", Text: ".map.txt", reason: ".map.err"}

// String is the suffix of the view's file name.
func (v View) String() string { return suffixes[v] }

// listed are the views that listings show, in their order.
var listed = [...]View{JSON, Text}

// nameMax is NAME_MAX: the most bytes of a file name. The kernel drops a listing that holds a
// longer one.
const nameMax = 255

// splitName splits the name of a view into that of its image and the view.
func splitName(name string) (image string, v View, ok bool) {
	for v := JSON; v <= reason; v++ {
		if image, ok := strings.CutSuffix(name, suffixes[v]); ok && image != "" && image != "." &&
			image != ".." {
			return image, v, true
		}
	}
	return "", 0, false
}

// join appends a name to a path of the source.
func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}

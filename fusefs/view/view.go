// Package view has the files that stand for an image, and their names.
package view

import (
	"path"
	"strings"
)

// View is one of the files that stand for an image.
type View uint8

// The views. No listing shows Reason, unless mount --on-error report asks for it.
const (
	JSON   View = iota + 1 // NAME.map.json
	Text                   // NAME.map.txt
	Reason                 // NAME.map.err: why there is no map
)

// suffixes are what a view appends to the name of its image.
var suffixes = [...]string{JSON: ".map.json", Text: ".map.txt", Reason: ".map.err"}

// String is the suffix of the view's file name.
func (v View) String() string { return suffixes[v] }

// Listed are the views that listings show, in their order.
var Listed = [...]View{JSON, Text}

// NameMax is NAME_MAX: the most bytes of a file name. The kernel drops a listing that holds a
// longer one.
const NameMax = 255

// Split splits the name of a view into that of its image and the view.
func Split(name string) (image string, v View, ok bool) {
	for v := JSON; v <= Reason; v++ {
		if image, ok := strings.CutSuffix(name, suffixes[v]); ok && image != "" && image != "." &&
			image != ".." {
			return image, v, true
		}
	}
	return "", 0, false
}

// OfLink is the target of a view of a link with that target, "" if the target cannot be an image.
func OfLink(target string, v View) string {
	switch path.Base(target) {
	case ".", "..", "/":
		return ""
	}
	if strings.HasSuffix(target, "/") {
		return ""
	}
	return target + v.String()
}

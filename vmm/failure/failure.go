// Package failure says why an image could not be mapped: in one line for people, in the words of
// qemu-img, and as an error number for a file system. Names and texts that come from images
// are hostile: package show makes them fit to be shown.
//
// Its files, from the bottom up:
//
//	causes.go     what can be wrong, in general
//	reference.go  what can be wrong with a file that an image names
//	qemutext.go   the words of qemu-img
//	failure.go    the error of an image
//	errno.go      its error number
package failure

import (
	"errors"
	"strings"

	"instarfs/guest/fault"
	"instarfs/guest/show"
)

// Error says why an image could not be mapped.
type Error struct {
	Name string // the image, as the user knows it
	Err  error
	qemu string // see QemuText
}

// New names the image in an error. The result is an *Error.
func New(name string, err error) error {
	return &Error{Name: name, Err: err, qemu: qemuText(show.Line(name), err)}
}

// Error is one line: what was tried, on which file, at which offset, why, and what to do if
// something can be done.
func (e *Error) Error() string {
	name := show.Quote(e.Name, len(e.Name))
	if name == `"`+e.Name+`"` && e.Name != "" && !strings.ContainsAny(e.Name, " :") {
		name = e.Name // nothing to quote
	}
	return "map " + name + ": " + reason(e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// QemuText is what qemu-img prints after "Could not open 'NAME': " for the same image, or empty if
// there is no such text.
func (e *Error) QemuText() string { return e.qemu }

// QemuStderr are the texts that qemu-img prints before that, each after its name.
func (e *Error) QemuStderr() (texts []string) {
	var w Warned
	if errors.As(e.Err, &w) {
		for _, f := range w.Warnings {
			texts = append(texts, f.QemuWarning())
		}
	}
	var f *fault.Fault
	if errors.As(e.Err, &f) {
		texts = append(texts, f.QemuStderr()...)
	}
	return texts
}

// ForAll reports whether other callers who ask for the map fail too, as long as the image stays as
// it is.
func (e *Error) ForAll() bool {
	var n noMap
	return errors.As(e.Err, &n)
}

// Warned is an error, with the warnings of the layers that were opened before it.
type Warned struct {
	Err      error
	Warnings []*fault.Fault
}

func (e Warned) Error() string { return e.Err.Error() }
func (e Warned) Unwrap() error { return e.Err }

// Unreadable is the error of an image that uses a file which the caller may not read. Nothing else
// is said of that file, not even whether there is a map for others.
type Unreadable struct{ error }

// NewUnreadable says that err is of that kind.
func NewUnreadable(err error) error { return Unreadable{err} }

func (e Unreadable) Unwrap() error { return e.error }

// noMap is the error of an image that has no map for any caller. What it says may be meant for one.
type noMap struct{ error }

// ForAll says of an error that no caller can have the map, although its text is meant for one.
func ForAll(err error) error { return noMap{err} }

func (e noMap) Unwrap() error { return e.error }

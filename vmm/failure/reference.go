package failure

import (
	"errors"

	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/guest/show"
	"instarfs/vmm/files"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// What can be wrong with the files that an image names.
var (
	ErrProtocol = errors.New("only plain file names are followed")
	ErrLoop     = errors.New("the chain of backing files comes back to a file that it has " +
		"been through")
	ErrDeep   = errors.New("too many backing files, one under the other")
	ErrNested = errors.New("a file that holds a part of a disk may name no further files")
	ErrFiles  = errors.New("too many files")
	ErrNoName = errors.New("the name is empty")
)

// Refused reports whether an error is a decision of the policy. Then nothing of the file may show,
// not even whether it exists.
func Refused(err error) bool {
	return errors.Is(err, files.ErrOutside) || errors.Is(err, files.ErrNone) ||
		errors.Is(err, ErrProtocol) || errors.Is(err, files.ErrNotRegular)
}

// Reference says what is wrong with a file that an image names.
type Reference struct {
	Kind  img.Kind
	Name  string // as the image has it: hostile
	Label string // as it would be shown
	Depth int    // of the file in the chain, 0 if it belongs to the top
	Err   error
}

func (e *Reference) Unwrap() error { return e.Err }

// Error says which file, why, and what to do.
func (e *Reference) Error() string {
	text := e.Kind.String() + " " + show.Quote(e.Name, maxQuoted)
	switch {
	case errors.Is(e.Err, files.ErrOutside):
		return text + " is refused: " + files.ErrOutside.Error() +
			" (allow its directory with --allow-dir, or all with --references any)"
	case errors.Is(e.Err, files.ErrNone):
		return text + " is refused: " + files.ErrNone.Error() + " (leave out --references none)"
	case errors.Is(e.Err, ErrProtocol):
		return text + " is refused: " + ErrProtocol.Error()
	case errors.Is(e.Err, files.ErrNotRegular):
		return text + " is refused: it is no regular file"
	case errors.Is(e.Err, ErrDeep):
		return text + ": " + ErrDeep.Error() + " (--max-depth allows more)"
	}
	if e.Label != e.Name {
		text += " (" + show.Quote(e.Label, maxQuoted) + ")"
	}
	return text + ": " + reason(e.Err)
}

// reason is the text of an error, and what to do about it.
func reason(err error) string {
	var ref *Reference
	var f *fault.Fault
	var g *session.GuestError
	switch {
	case errors.As(err, &ref):
		return ref.Error()
	case errors.As(err, &g) && g.Kind == session.KindDeadline:
		return err.Error() + " (--guest-time allows more)"
	case errors.Is(err, ledger.ErrFull):
		return err.Error() + ": the map needs more than --memory leaves " +
			"(allow more, or try again when less is read at a time)"
	case !errors.As(err, &f):
		return err.Error()
	}
	text := f.Error()
	switch f.Class() {
	case fault.InvalidSource:
		return text + " (choose the format with -f, or leave -f out)"
	case fault.Corrupt:
		if f.MarksCorrupt() {
			return text + " (the image is damaged: restore it, or let qemu-img check -r all " +
				"repair a copy)"
		}
		return text + " (the image is damaged or cut short: restore it)"
	}
	return text
}

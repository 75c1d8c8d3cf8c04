// Package fault says what can be wrong with an image, as numbers: the guest finds a fault, the ABI
// carries it, the host words it. Tables (reason.go, and a file a format) name every reason once,
// for both sides, so that no text made by a guest is needed to tell a person what happened. The
// package formats with strconv: the guest must not link fmt.
package fault

import (
	"strconv"

	"instarfs/guest/show"
)

// Class groups reasons by what a caller does about them. The values are the codes of abi.Result.
type Class uint32

const (
	OK            Class = 0
	InvalidSource Class = 1 // not an image of the format it is asked to be
	InvalidOption Class = 2 // the configuration asks for what cannot be
	HasBacking    Class = 3 // refers to another file that may not be followed
	IO            Class = 4 // the device failed a read
	Corrupt       Class = 5 // a structure contradicts the format's rules
	Unsupported   Class = 6 // legal, but not mapped
	LimitExceeded Class = 7 // legal numbers beyond what qemu or this program accepts
	NeedsKey      Class = 8 // encrypted; qemu-img refuses without a key
	highestClass        = NeedsKey
)

// Known reports whether c is one of the classes above.
func (c Class) Known() bool { return c <= highestClass }

// MaxText is the most bytes of an image that a fault may quote.
const MaxText = 1024

// Fault is one thing that is wrong with an image.
type Fault struct {
	Reason Reason
	Offset uint64    // bytes from the start of the device: the field or entry that is wrong
	Args   [3]uint64 // the numbers that the text of the reason names
	Text   string    // bytes of the image that the text quotes, at most MaxText; hostile
	// Before are the warnings that were given by the time an image was refused with this fault.
	Before []*Fault
}

// New makes a fault found at a device offset, with the numbers of its text.
func New(r Reason, off uint64, args ...uint64) *Fault {
	f := &Fault{Reason: r, Offset: off}
	copy(f.Args[:], args)
	return f
}

// Quoting makes a fault whose text quotes bytes of the image.
func Quoting(r Reason, off uint64, text string) *Fault {
	if len(text) > MaxText {
		text = text[:MaxText]
	}
	return &Fault{Reason: r, Offset: off, Text: text}
}

// Class is what a caller can do about f.
func (f *Fault) Class() Class { return f.Reason.row().class }

// Bare reports whether qemu-img names the file once more in front of the message, as it does when a
// driver gives an error number and no text.
func (f *Fault) Bare() bool { return f.Reason.row().bare }

// Told is what qemu-img says of f behind "Could not open 'NAME': " when it opens the image of that
// name. It may have more lines than one.
func (f *Fault) Told(name string) string {
	w := f.Reason.row()
	text := w.told
	if text == "" {
		text = w.text
	}
	if w.hint != "" {
		text += "\n" + w.hint
	}
	text = string(f.expand(nil, text, name))
	if f.Bare() {
		return "Could not open '" + name + "': " + text
	}
	return text
}

// QemuWarning returns what qemu-img prints, after its name, of a warning. It does not end every
// text with the end of a line.
func (f *Fault) QemuWarning() string {
	return "warning: " + f.Message() + "\n" + f.Reason.row().hint
}

// QemuStderr returns the texts that qemu-img prints, each after its name, before it refuses an
// image with f.
func (f *Fault) QemuStderr() (texts []string) {
	for _, w := range f.Before {
		texts = append(texts, w.QemuWarning())
	}
	if f.Reason.row().reported {
		texts = append(texts, f.Message()+"\n")
	}
	return texts
}

// QemuWalkEnd returns what qemu-img prints last when it meets f while it maps the image of that
// name, and whether that is an assertion that fails.
func (f *Fault) QemuWalkEnd(name string) (text string, aborts bool) {
	w := f.Reason.row()
	switch {
	case w.aborts:
		return f.Message(), true
	case w.ends != "":
		return string(f.expand(nil, w.ends, name)), false
	}
	return "Could not read file metadata: Input/output error", false
}

// Stops reports whether qemu-img maps an image with this warning no further than up to byte Args[0]
// of the disk.
func (f *Fault) Stops() bool { return f.Reason.row().stops }

// Field names the field or structure that is wrong, in the words of the format's specification.
func (f *Fault) Field() string { return f.Reason.row().field }

// Error is Message with the place in front.
func (f *Fault) Error() string {
	return f.Field() + " at offset " + strconv.FormatUint(f.Offset, 10) + ": " + f.Message()
}

// Message says what is wrong in the words that qemu-img uses for it, on one line. Bytes of the
// image are shown as show.Line shows them.
func (f *Fault) Message() string { return string(f.expand(nil, f.Reason.row().text, "the file")) }

// expand replaces {0} by Args[0] in decimal, {0:d} as a signed number, {0:x} in hexadecimal, {0:#x}
// in hexadecimal with 0x (zero is 0, as C prints it), {text} by Text and {file} by file.
func (f *Fault) expand(b []byte, text, file string) []byte {
	for i := 0; i < len(text); i++ {
		if text[i] != '{' {
			b = append(b, text[i])
			continue
		}
		end := i
		for text[end] != '}' {
			end++
		}
		switch verb := text[i+1 : end]; {
		case verb == "text":
			b = append(b, show.Line(f.Text)...)
		case verb == "file":
			b = append(b, file...)
		case len(verb) > 1 && verb[1:] == ":d":
			b = strconv.AppendInt(b, int64(f.Args[verb[0]-'0']), 10)
		case len(verb) > 1 && verb[1:] == ":x":
			b = strconv.AppendUint(b, f.Args[verb[0]-'0'], 16)
		case len(verb) > 1 && verb[1:] == ":#x":
			if f.Args[verb[0]-'0'] != 0 {
				b = append(b, "0x"...)
			}
			b = strconv.AppendUint(b, f.Args[verb[0]-'0'], 16)
		default:
			b = strconv.AppendUint(b, f.Args[verb[0]-'0'], 10)
		}
		i = end
	}
	return b
}

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"instarfs/cmd/instarfs/ending"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/guest/show"
	"instarfs/render"
)

// fileName is the name of the file to open, which is also the name that the map shows. By default
// it is what was typed. In a qemu-img profile a colon before the first slash ends the name of a
// protocol, of which we have file only.
func fileName(typed string, p img.Release) (string, error) {
	if !p.IsQemu() {
		if typed == "" {
			return "", errors.New("map: the file name is empty")
		}
		return typed, nil
	}
	name := typed
	protocol, rest, ok := cutProtocol(name)
	switch {
	case ok && protocol != "file":
		return "", ending.Qemu{Text: fmt.Sprintf("Could not open '%s': Unknown protocol '%s'",
			show.Line(typed), show.Line(protocol))}
	case ok:
		name = rest
		if _, _, again := cutProtocol(name); again {
			name = "./" + name
		}
	}
	if name == "" {
		return "", ending.Qemu{Text: fmt.Sprintf(
			"Could not open '%s': The 'file' block driver requires a file name",
			show.Line(typed))}
	}
	return name, nil
}

func cutProtocol(name string) (protocol, rest string, ok bool) {
	i := strings.IndexAny(name, ":/")
	if i < 0 || name[i] != ':' {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

// printMap prints the map and what is said of it. In a qemu-img profile what was printed before a
// failure stays, and nobody minds whether standard output takes it.
func printMap(e *env, a *mapArgs, res *mapResult) error {
	if a.Release.IsQemu() {
		return printLikeQemu(e, a, res)
	}
	for _, w := range res.Warnings {
		e.say("map %s: warning: %v", a.file, w)
	}
	if res.Failed != nil {
		return mapError(a.file, res.Failed)
	}
	r, err := render.New(res.Map, a.view, a.Release)
	if err != nil {
		return mapError(a.file, err)
	}
	if _, err := r.WriteTo(e.stdout); err != nil {
		return mapError(a.file, fmt.Errorf("write to standard output: %w", err))
	}
	return nil
}

func printLikeQemu(e *env, a *mapArgs, res *mapResult) error {
	newRendering := render.New
	if res.Failed != nil {
		newRendering = render.NewCut
	}
	warnOfOpening(e, res.Warnings)
	r, err := newRendering(res.Map, a.view, a.Release)
	if err == nil && res.Failed != nil {
		if assertion, aborts := res.Failed.QemuWalkEnd(show.Line(a.file)); aborts {
			_, _ = io.Copy(e.stdout, io.NewSectionReader(r, 0, r.Size()/stdioBuffer*stdioBuffer))
			return ending.Abort{Assertion: assertion}
		}
	}
	_, _ = r.WriteTo(e.stdout)
	switch {
	case err != nil:
		// qemu-img looks no further than the extent that it cannot show.
		warnOfCorruption(e, res.Format, res.Warnings)
		return ending.Qemu{Text: err.Error()}
	case res.Failed == nil:
		warnOfCorruption(e, res.Format, res.Warnings)
		return nil
	}
	events := res.Warnings[:len(res.Warnings):len(res.Warnings)]
	warnOfCorruption(e, res.Format, append(events, res.Failed))
	text, _ := res.Failed.QemuWalkEnd(show.Line(a.file))
	return ending.Qemu{Text: text}
}

// aborts reports whether an assertion of qemu-img fails when it meets f.
func aborts(f *fault.Fault) bool {
	_, yes := f.QemuWalkEnd("")
	return yes
}

// stdioBuffer is how many bytes the C library gathers before it writes them to a file or pipe;
// those gathered when a program aborts are lost.
const stdioBuffer = 4096

// warnOfOpening prints what qemu-img finds when it opens an image, whatever is mapped of it.
func warnOfOpening(e *env, warnings []*fault.Fault) {
	for _, f := range warnings {
		if !f.MarksCorrupt() {
			e.print("instarfs: " + f.QemuWarning())
		}
	}
}

// warnOfCorruption prints the first corruption that the walk met on its way, in the name of the
// format.
func warnOfCorruption(e *env, format string, events []*fault.Fault) {
	for _, f := range events {
		if f.MarksCorrupt() {
			e.print(format + ": Image is corrupt: " + f.Message() +
				"; further non-fatal corruption events will be suppressed\n")
			return
		}
	}
}

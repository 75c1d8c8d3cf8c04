package main

import (
	"errors"
	"fmt"
	"strings"

	"instarfs/guest/fault"
	"instarfs/render"
)

// fileName is the name of the file to open, which is also the name that the map shows. By default it is what was typed. In a
// qemu-img profile a colon before the first slash ends the name of a protocol, of which we have file only.
func (a *mapArgs) fileName() (string, error) {
	if !a.options.Profile.IsQemu() {
		if a.file == "" {
			return "", errors.New("map: the file name is empty")
		}
		return a.file, nil
	}
	name := a.file
	protocol, rest, ok := cutProtocol(name)
	switch {
	case ok && protocol != "file":
		return "", qemuError{fmt.Sprintf("Could not open '%s': Unknown protocol '%s'", a.file, protocol)}
	case ok:
		name = rest
		if _, _, again := cutProtocol(name); again {
			name = "./" + name
		}
	}
	if name == "" {
		return "", qemuError{fmt.Sprintf("Could not open '%s': The 'file' block driver requires a file name", a.file)}
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

// printMap prints the map. In a qemu-img profile what was printed before a failure stays, and nobody minds whether standard
// output takes it.
func printMap(e *env, a *mapArgs, res *mapResult) error {
	newRendering, qemu := render.New, a.options.Profile.IsQemu()
	if res.Failed != nil {
		if !qemu {
			return a.failed(res.Failed)
		}
		newRendering = render.NewCut
	}
	r, err := newRendering(res.Map, a.view, a.options.Profile)
	if err != nil && !qemu {
		return a.failed(err)
	}
	if _, werr := r.WriteTo(e.stdout); werr != nil && !qemu {
		return a.failed(fmt.Errorf("write to standard output: %w", werr))
	}
	switch {
	case err != nil:
		return qemuError{err.Error()}
	case res.Failed != nil:
		return qemuError{"Could not read file metadata: Input/output error"}
	default:
		return nil
	}
}

// tellWarnings tells of corruption that the walk met. qemu-img tells of the first only, in the name of the format.
func tellWarnings(e *env, a *mapArgs, res *mapResult) {
	if !a.options.Profile.IsQemu() {
		for _, w := range res.Warnings {
			e.say("%s", oneLine(fmt.Sprintf("map: %s: warning: %v", a.file, w)))
		}
		return
	}
	told := false
	all := res.Warnings
	if res.Failed != nil {
		all = append(all[:len(all):len(all)], res.Failed)
	}
	for _, f := range all {
		switch {
		case !isCorruption(f.Reason):
			if f != res.Failed {
				e.say("warning: %s", f.Message())
			}
		case !told:
			told = true
			fmt.Fprintf(e.stderr, "%s: Image is corrupt: %s; further non-fatal corruption events will be suppressed\n",
				res.Format, f.Message())
		}
	}
}

// isCorruption reports whether qemu-img marks an image as corrupt for r: what the walk of a qcow2 finds wrong.
func isCorruption(r fault.Reason) bool {
	return r >= fault.Qcow2L2Unaligned && r <= fault.Qcow2RefblockUnaligned
}

package main

import (
	"errors"
	"fmt"
	"math"

	"instarfs/guest/img"
	"instarfs/guest/show"
	"instarfs/render"
	"instarfs/vmm/chain"
)

// mapArgs is the command line of map.
type mapArgs struct {
	file     string // as it was typed
	view     render.View
	options  mapOptions
	access   accessOptions
	limits   limitOptions
	length   uint64 // bytes; noLength if there is no bound
	warnings []string
}

// noLength is a length that no disk has.
const noLength = math.MaxUint64

var errHelp = errors.New("help is wanted")

// errOneName is a command line without the name of a file, or with more than one.
var errOneName = errors.New("expecting one image file name")

// outputError is a value of --output that is none.
type outputError struct{ value string }

func (o outputError) Error() string { return "--output '" + o.value + "' must be human or json" }

// numberError is a number that is none, or out of range.
type numberError struct {
	name, value, what string // --start-offset, 1e3, start offset
	err               error
}

func (n numberError) Error() string { return fmt.Sprintf("%s '%s' %v", n.name, n.value, n.err) }

// parseMap makes sense of the command line in the order in which qemu-img does. The profile is known even if it fails.
func parseMap(items []item, names []string) (*mapArgs, error) {
	a := &mapArgs{length: noLength, options: mapOptions{SectorSize: 65536}}
	a.access.MaxDepth = chain.DefaultMaxDepth
	for _, it := range items {
		if it.name == "qemu-version" {
			var err error
			if a.options.Release, err = img.ParseRelease(it.value); err != nil {
				return a, fmt.Errorf("--qemu-version: %w", err)
			}
		}
	}
	output, hasFormat, unsupported := "human", false, ""
	for _, it := range items {
		if it.problem != nil {
			return a, it.problem
		}
		var err error
		switch it.name {
		case "help":
			return a, errHelp
		case "format":
			a.options.Format, hasFormat = it.value, true
		case "output":
			output = it.value
			if a.words().modern {
				err = a.setView(output)
			}
		case "start-offset":
			a.options.Window.Start, err = a.number(it, "start offset")
		case "max-length":
			a.length, err = a.number(it, "max length")
		case "force-share":
			a.access.ForceShare = true
		case "depth":
			a.options.TopOnly, err = true, parseDepth(it.value)
		case "max-depth":
			a.access.MaxDepth, err = a.number(it, "max depth")
		case "references":
			a.access.References = it.value
		case "reference-rights":
			a.access.Rights = it.value
		case "allow-dir":
			a.access.AllowDirs = append(a.access.AllowDirs, it.value)
		case "image-opts", "object":
			unsupported = it.name
		case "memory":
			a.limits.Memory, err = a.number(it, "memory")
		case "guest-time", "call-time", "source-time", "compose-time", "map-time":
			err = a.time(it)
		case "sector-size":
			a.options.SectorSize, err = parseSectorSize(it.value)
		}
		if err != nil {
			return a, err
		}
	}
	for _, check := range []func() error{a.access.check, a.limits.check} {
		if err := check(); err != nil {
			return a, err
		}
	}
	if len(names) != 1 {
		return a, errOneName
	}
	a.file = names[0]
	if err := a.setView(output); err != nil {
		return a, err
	}
	switch {
	case unsupported == "image-opts" && hasFormat && a.options.Release.IsQemu():
		return a, qemuError{"--image-opts and --format are mutually exclusive"}
	case unsupported != "":
		return a, fmt.Errorf("--%s is not supported (instarfs accepts FILENAME directly; see docs/quirks.md)", unsupported)
	}
	if hasFormat && a.options.Format == "" {
		if a.options.Release.IsQemu() {
			return a, qemuError{"Could not open '" + show.Line(a.file) + "': Unknown driver ''"}
		}
		return a, errors.New("--format '' names no format")
	}
	a.window()
	return a, nil
}

// window sets the end of the window. In a qemu-img profile a sum beyond 2^63-1 wraps around, which leaves nothing to map.
func (a *mapArgs) window() {
	w := &a.options.Window
	switch {
	case a.length == noLength:
		w.End = math.MaxInt64
	case a.length <= math.MaxInt64-w.Start:
		w.End = w.Start + a.length
	case a.options.Release.IsQemu():
		w.End = w.Start
	default:
		w.End = math.MaxInt64
	}
}

func (a *mapArgs) number(it item, what string) (uint64, error) {
	n, hexSuffix, err := parseNumber(it.value, a.words().modern)
	if hexSuffix && a.options.Release.IsQemu() {
		a.warnings = append(a.warnings, "warning: Using a multiplier suffix on hex numbers is deprecated: "+it.value)
	}
	if err != nil {
		return 0, numberError{"--" + it.name, it.value, what, err}
	}
	return n, nil
}

func (a *mapArgs) time(it item) error {
	d, err := parseTime(it.value)
	if err != nil {
		return fmt.Errorf("--%s '%s' is %w", it.name, it.value, err)
	}
	for _, t := range a.limits.times() {
		if t.name == it.name {
			*t.d = d
		}
	}
	return nil
}

// parseDepth takes the one depth that can be asked for.
func parseDepth(s string) error {
	if n, _, err := parseNumber(s, false); err != nil || n != 0 {
		return fmt.Errorf("--depth '%s' must be 0, the file itself", s)
	}
	return nil
}

func parseSectorSize(s string) (uint32, error) {
	n, _, err := parseNumber(s, false)
	if err != nil || n < 512 || n > 65536 || n&(n-1) != 0 {
		return 0, fmt.Errorf("--sector-size '%s' must be a power of two from 512 to 65536", s)
	}
	return uint32(n), nil
}

// setView takes a value of --output.
func (a *mapArgs) setView(output string) error {
	switch output {
	case "human":
		a.view = render.Text
	case "json":
		a.view = render.JSON
	default:
		return outputError{output}
	}
	return nil
}

// words are those of the profile.
func (a *mapArgs) words() words { return wordsOf(a.options.Release) }

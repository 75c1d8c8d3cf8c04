package main

import (
	"errors"
	"fmt"
	"math"

	"instarfs/guest/show"
	"instarfs/render"
)

// mapArgs is the command line of map.
type mapArgs struct {
	sharedOptions
	file        string // as it was typed
	view        render.View
	options     mapOptions // without Release
	hasFormat   bool
	length      uint64 // bytes; noLength if there is no bound
	unsupported string // an option of qemu-img that is refused
	warnings    []string
}

// noLength is a length that no disk has.
const noLength = math.MaxUint64

func newMapArgs() *mapArgs {
	return &mapArgs{view: render.Text, length: noLength, options: mapOptions{SectorSize: 65536}}
}

var errHelp = errors.New("help is wanted")

// errOneName is a command line without the name of a file, or with more than one.
var errOneName = errors.New("expecting one image file name")

// rows returns the rows of the options of map, which set a. --object is here for its
// prefixes; it is refused like --image-opts.
func (a *mapArgs) rows() []option {
	own := []option{
		{short: 'f', long: "format", arg: "FMT", qemu: true, set: a.setFormat,
			help: "the format of the image; without it, the content decides"},
		{long: "output", arg: "FORM", usual: "human", qemu: true, set: setOneOf(&a.view,
			choice[render.View]{"human", render.Text}, choice[render.View]{"json", render.JSON}),
			help: "human or json"},
		{short: 's', long: "start-offset", arg: "OFF", qemu: true, set: a.number(&a.options.Window.Start),
			help: "begin at this byte of the disk"},
		{short: 'l', long: "max-length", arg: "LEN", qemu: true, set: a.number(&a.length),
			help: "stop after this many bytes"},
		{long: "image-opts", qemu: true, set: a.refuse("image-opts")},
		{long: "object", arg: "OBJECT", qemu: true, set: a.refuse("object")},
		{long: "sector-size", arg: "N", usual: "65536", set: setSectorSize(&a.options.SectorSize),
			help: "block size of the device that the guest sees: a power of two, 512 to 65536"},
		{long: "depth", arg: "0", set: a.setDepth,
			help: "map this file alone: what a backing file holds is not present"},
	}
	help := option{short: 'h', long: "help", qemu: true, help: "print this help",
		set: func(string) error { return errHelp }}
	return append(append(own, a.sharedOptions.rows()...), help)
}

func (a *mapArgs) setFormat(name string) error {
	a.options.Format, a.hasFormat = name, true
	return nil
}

// number returns a set function for a number of bytes as the profile's qemu-img reads it.
func (a *mapArgs) number(to *uint64) func(string) error {
	return func(s string) error {
		n, hexSuffix, err := parseNumber(s, a.words().modern)
		if hexSuffix && a.Release.IsQemu() {
			a.warnings = append(a.warnings,
				"warning: Using a multiplier suffix on hex numbers is deprecated: "+s)
		}
		if err == nil {
			*to = n
		}
		return err
	}
}

// setDepth takes the one depth that can be asked for.
func (a *mapArgs) setDepth(s string) error {
	if n, _, err := parseNumber(s, false); err != nil || n != 0 {
		return errors.New("must be 0, the file itself")
	}
	a.options.TopOnly = true
	return nil
}

// refuse returns a set function that keeps the name of an option for a later error.
func (a *mapArgs) refuse(name string) func(string) error {
	return func(string) error {
		a.unsupported = name
		return nil
	}
}

// parse makes sense of the command line in the order in which qemu-img does. The profile is known
// even if it fails.
func (a *mapArgs) parse(items []item, names []string) error {
	for _, it := range items {
		if it.option != nil && it.option.long == "qemu-version" {
			if err := it.option.assign(it.value); err != nil {
				return err
			}
		}
	}
	var output *item
	for _, it := range items {
		switch {
		case it.problem != nil:
			return it.problem
		case it.option.long == "qemu-version":
			continue
		case it.option.long == "output" && !a.words().modern:
			output = &it // which is checked later, the last of several only
			continue
		}
		if err := it.option.assign(it.value); err != nil {
			return err
		}
	}
	if len(names) != 1 {
		return errOneName
	}
	a.file = names[0]
	if output != nil {
		if err := output.option.assign(output.value); err != nil {
			return err
		}
	}
	isQemu := a.Release.IsQemu()
	switch {
	case a.unsupported == "image-opts" && a.hasFormat && isQemu:
		return qemuError{"--image-opts and --format are mutually exclusive"}
	case a.unsupported != "":
		return fmt.Errorf("--%s is not supported (instarfs accepts FILENAME directly; see docs/quirks.md)",
			a.unsupported)
	case a.hasFormat && a.options.Format == "" && isQemu:
		return qemuError{"Could not open '" + show.Line(a.file) + "': Unknown driver ''"}
	case a.hasFormat && a.options.Format == "":
		return errors.New("--format '' names no format")
	}
	a.options.Window.End = windowEnd(a.options.Window.Start, a.length, isQemu)
	return nil
}

// windowEnd is where a window ends, bytes. With qemu-img a sum beyond 2^63-1 wraps around, which
// leaves nothing to map.
func windowEnd(start, length uint64, isQemu bool) uint64 {
	switch {
	case length == noLength:
		return math.MaxInt64
	case length <= math.MaxInt64-start:
		return start + length
	case isQemu:
		return start
	}
	return math.MaxInt64
}

// words are those of the profile.
func (a *mapArgs) words() words { return wordsOf(a.Release) }

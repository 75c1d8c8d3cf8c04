package main

import (
	"errors"
	"fmt"
	"math"

	"instarfs/cmd/instarfs/ending"
	"instarfs/cmd/instarfs/misuse"
	"instarfs/cmd/instarfs/options"
	"instarfs/guest/img"
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

// rows returns the rows of the options of map, which set a. --object is here for its
// prefixes; it is refused like --image-opts.
func (a *mapArgs) rows() []options.Option {
	own := []options.Option{
		{Short: 'f', Long: "format", Arg: "FMT", Qemu: true, Values: formats(), Set: a.setFormat,
			Help: "the format of the image; without it, the content decides"},
		{Long: "output", Arg: "FORM", Usual: "human", Qemu: true, Set: options.OneOf(&a.view,
			options.Word("human", render.Text), options.Word("json", render.JSON)),
			Help: "human or json"},
		{Short: 's', Long: "start-offset", Arg: "OFF", Qemu: true,
			Set:  a.number(&a.options.Window.Start),
			Help: "begin at this byte of the disk"},
		{Short: 'l', Long: "max-length", Arg: "LEN", Qemu: true, Set: a.number(&a.length),
			Help: "stop after this many bytes"},
		{Long: "image-opts", Qemu: true, Set: a.refuse("image-opts")},
		{Long: "object", Arg: "OBJECT", Qemu: true, Set: a.refuse("object")},
		{Long: "sector-size", Arg: "N", Usual: "65536",
			Set:  options.SectorSize(&a.options.SectorSize),
			Help: "block size of the device that the guest sees: a power of two, 512 to 65536"},
		{Long: "depth", Arg: "0", Set: a.setDepth,
			Help: "map this file alone: what a backing file holds is not present"},
	}
	help := options.Option{Short: 'h', Long: "help", Qemu: true, Help: "print this help",
		Set: func(string) error { return errHelp }}
	return append(append(own, a.sharedOptions.rows()...), help)
}

// formats are the names of the formats that images have.
func formats() (names []string) {
	for f := img.Raw; f < img.Formats; f++ {
		if !f.IsPart() {
			names = append(names, f.String())
		}
	}
	return names
}

func (a *mapArgs) setFormat(name string) error {
	a.options.Format, a.hasFormat = name, true
	return nil
}

// number returns a set function for a number of bytes as the profile's qemu-img reads it.
func (a *mapArgs) number(to *uint64) func(string) error {
	return func(s string) error {
		n, hexSuffix, err := options.ParseNumber(s, a.words().Modern())
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
	if n, _, err := options.ParseNumber(s, false); err != nil || n != 0 {
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
func (a *mapArgs) parse(items []options.Item, names []string) error {
	for _, it := range items {
		if it.Option != nil && it.Option.Long == "qemu-version" {
			if err := it.Option.Assign(it.Value); err != nil {
				return err
			}
		}
	}
	var output *options.Item
	for _, it := range items {
		switch {
		case it.Problem != nil:
			return it.Problem
		case it.Option.Long == "qemu-version":
			continue
		case it.Option.Long == "output" && !a.words().Modern():
			output = &it // which is checked later, the last of several only
			continue
		}
		if err := it.Option.Assign(it.Value); err != nil {
			return err
		}
	}
	if len(names) != 1 {
		return misuse.ErrOneName
	}
	a.file = names[0]
	if output != nil {
		if err := output.Option.Assign(output.Value); err != nil {
			return err
		}
	}
	isQemu := a.Release.IsQemu()
	switch {
	case a.unsupported == "image-opts" && a.hasFormat && isQemu:
		return ending.Qemu{Text: "--image-opts and --format are mutually exclusive"}
	case a.unsupported != "":
		return fmt.Errorf(
			"--%s is not supported (instarfs accepts FILENAME directly; see docs/quirks.md)",
			a.unsupported)
	case a.hasFormat && a.options.Format == "" && isQemu:
		return ending.Qemu{Text: "Could not open '" + show.Line(a.file) + "': Unknown driver ''"}
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
func (a *mapArgs) words() misuse.Words { return misuse.Of(a.Release) }

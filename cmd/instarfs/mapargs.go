package main

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"instarfs/render"
	"instarfs/vmm/chain"
)

// mapArgs is the command line of map.
type mapArgs struct {
	file     string // as it was typed
	view     render.View
	options  mapOptions
	access   accessOptions
	length   uint64 // bytes; noLength if there is no bound
	warnings []string
}

// noLength is a length that no disk has.
const noLength = math.MaxUint64

var errHelp = errors.New("help is wanted")

// usageText is a mistake on the command line in qemu-img's words, which are good enough for us.
type usageText string

func (t usageText) Error() string { return string(t) }

// numberError is a number that is none, or out of range.
type numberError struct {
	name, value, what string // --start-offset, 1e3, start offset
	err               error
}

func (n numberError) Error() string { return fmt.Sprintf("%s '%s' %v", n.name, n.value, n.err) }

// qemuText is what qemu-img says of it, in lines.
func (n numberError) qemuText() []string {
	if errors.Is(n.err, errNumberRange) {
		return []string{"Invalid " + n.what + " specified. Must be between 0 and 9223372036854775807."}
	}
	return []string{"Invalid " + n.what + " specified. You may use k, M, G, T, P or E suffixes for",
		"kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes."}
}

// parseMap makes sense of the command line in the order in which qemu-img does. The profile is known even if it fails.
func parseMap(items []item, names []string) (*mapArgs, error) {
	a := &mapArgs{length: noLength, options: mapOptions{SectorSize: 65536}}
	a.access.MaxDepth = chain.DefaultMaxDepth
	for _, it := range items {
		if it.name == "qemu-version" {
			var err error
			if a.options.Profile, err = render.ParseVersion(it.value); err != nil {
				return a, fmt.Errorf("--qemu-version: %w", err)
			}
		}
	}
	output, hasFormat, unsupported := "human", false, ""
	for _, it := range items {
		if it.problem != "" {
			return a, usageText(it.problem)
		}
		var err error
		switch it.name {
		case "help":
			return a, errHelp
		case "format":
			a.options.Format, hasFormat = it.value, true
		case "output":
			output = it.value
		case "start-offset":
			a.options.Start, err = a.number(it, "start offset")
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
		case "sector-size":
			a.options.SectorSize, err = parseSectorSize(it.value)
		}
		if err != nil {
			return a, err
		}
	}
	if err := a.access.check(); err != nil {
		return a, err
	}
	if len(names) != 1 {
		return a, usageText("Expecting one image file name")
	}
	a.file = names[0]
	switch output {
	case "human":
		a.view = render.Text
	case "json":
		a.view = render.JSON
	default:
		return a, a.words("--output must be used with human or json as argument.", "--output '%s' must be human or json", output)
	}
	switch {
	case unsupported == "image-opts" && hasFormat && a.options.Profile.IsQemu():
		return a, qemuError{"--image-opts and --format are mutually exclusive"}
	case unsupported != "":
		return a, fmt.Errorf("--%s is not supported (instarfs accepts FILENAME directly; see docs/quirks.md)", unsupported)
	}
	if hasFormat && a.options.Format == "" {
		return a, a.words("Could not open '"+a.file+"': Unknown driver ''", "--format '' names no format")
	}
	a.window()
	return a, nil
}

// window sets the end of the window. In a qemu-img profile a sum beyond 2^63-1 wraps around, which leaves nothing to map.
func (a *mapArgs) window() {
	o := &a.options
	switch {
	case a.length == noLength:
		o.End = math.MaxInt64
	case a.length <= math.MaxInt64-o.Start:
		o.End = o.Start + a.length
	case o.Profile.IsQemu():
		o.End = o.Start
	default:
		o.End = math.MaxInt64
	}
}

func (a *mapArgs) number(it item, what string) (uint64, error) {
	n, hexSuffix, err := parseNumber(it.value)
	if hexSuffix && a.options.Profile.IsQemu() {
		a.warnings = append(a.warnings, "warning: Using a multiplier suffix on hex numbers is deprecated: "+it.value)
	}
	if err != nil {
		return 0, numberError{"--" + it.name, it.value, what, err}
	}
	return n, nil
}

// parseDepth takes the one depth that can be asked for.
func parseDepth(s string) error {
	if n, _, err := parseNumber(s); err != nil || n != 0 {
		return fmt.Errorf("--depth '%s' must be 0, the file itself", s)
	}
	return nil
}

func parseSectorSize(s string) (uint32, error) {
	n, _, err := parseNumber(s)
	if err != nil || n < 512 || n > 65536 || n&(n-1) != 0 {
		return 0, fmt.Errorf("--sector-size '%s' must be a power of two from 512 to 65536", s)
	}
	return uint32(n), nil
}

// words makes an error of qemu-img's text in its profile, and of ours otherwise.
func (a *mapArgs) words(qemu, format string, args ...any) error {
	if a.options.Profile.IsQemu() {
		return qemuError{qemu}
	}
	return fmt.Errorf(format, args...)
}

// misuse words an error of parseMap: in a qemu-img profile as qemu-img does.
func (a *mapArgs) misuse(err error) error {
	var text usageText
	var number numberError
	qemu := a.options.Profile.IsQemu()
	switch {
	case errors.As(err, new(qemuError)):
		return err
	case errors.As(err, &text) && qemu:
		return qemuError{string(text) + "\nTry 'qemu-img --help' for more information"}
	case errors.As(err, &text):
		return fmt.Errorf("map: %s (see 'instarfs map --help')", strings.ToLower(string(text[:1]))+string(text[1:]))
	case errors.As(err, &number) && qemu:
		lines := append(a.warnings, number.qemuText()...)
		return qemuError{strings.Join(lines, "\ninstarfs: ")}
	default:
		return fmt.Errorf("map: %w", err)
	}
}

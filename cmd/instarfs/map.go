package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"instarfs/guest/fault"
	"instarfs/guest/show"
)

// mapFlags are the options of qemu-img map and ours. --object is here for its prefixes; it is refused like --image-opts.
var mapFlags = []option{
	{'h', "help", false, false},
	{'f', "format", true, false},
	{0, "output", true, false},
	{'s', "start-offset", true, false},
	{'l', "max-length", true, false},
	{'U', "force-share", false, false},
	{0, "image-opts", false, false},
	{0, "object", true, false},
	{0, "sector-size", true, true},
	{0, "qemu-version", true, true},
	{0, "depth", true, true},
	{0, "max-depth", true, true},
	{0, "references", true, true},
	{0, "reference-rights", true, true},
	{0, "allow-dir", true, true},
	{0, "memory", true, true},
	{0, "guest-time", true, true},
	{0, "source-time", true, true},
	{0, "call-time", true, true},
	{0, "compose-time", true, true},
	{0, "map-time", true, true},
}

const mapHelp = `Print which parts of the virtual disk in FILENAME hold data, and where in the file they are.

Options may stand before or after FILENAME. Of a repeated option the last one counts. Long names may be
shortened as long as they are unambiguous. OFF and LEN are bytes: digits, 0x and hexadecimal digits, or a
decimal number with a suffix of k, M, G, T, P or E (powers of 1024). TIME is a
number of seconds, or like 1m30s.

Files that the image names (backing files, data files, extents) are opened if they lie beneath its own directory.

Nothing is printed unless the whole map is known, except with --qemu-version: then standard output, the texts
of errors and the exit status are those of that release of qemu-img. docs/quirks.md tells the differences.`

const mapOptionsHelp = `Options:
  -f, --format FMT        the format of the image; without it, the content decides
      --output FORM       human (default) or json
  -s, --start-offset OFF  begin at this byte of the disk
  -l, --max-length LEN    stop after this many bytes
  -U, --force-share       map an image although somebody has it open for writing
      --sector-size N     block size of the device that the guest sees: a power of two, 512 to 65536 (default)
      --qemu-version X.Y  behave like this release of qemu-img, 5.1 or newer
      --depth 0           map this file alone: what a backing file holds is not present
      --max-depth N       backing files that may follow each other (default 64)
      --references WHICH  files that images name and that may be opened: beneath (default), none, or any
      --reference-rights WHOSE  open them with the rights of the owner of the file that names them (owner, default),
                          or of this process (mount)
      --allow-dir DIR     a directory in which such files may lie too (repeatable)
      --memory BYTES      what the map may take (default: by what the process may have)
      --guest-time TIME   processor time of a run of the guest (default 1m)
      --call-time TIME    for a file system to answer one call (default 30s)
      --source-time TIME  to read the files under the map (default 10m)
      --compose-time TIME to put the map together (default 1m)
      --map-time TIME     for the map in all (default 15m)
  -h, --help              print this help`

func mapCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "map [OPTIONS] FILENAME",
		Short: "Print the allocation map of one image, as qemu-img map does",
		Long: mapHelp + "\n\n" + mapOptionsHelp + "\n\nExit status:\n    0  the map is printed" +
			"\n    1  anything else, a wrong command line too, as with qemu-img; standard error says why" +
			"\n  134  with --qemu-version, where that qemu-img aborts" + signalHelp,
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
	}
	cmd.SetUsageTemplate("Usage:\n  {{.UseLine}}\n")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		items, names := getopt(args, mapFlags)
		a, err := parseMap(items, names)
		for _, w := range a.warnings {
			e.say("%s", w)
		}
		switch {
		case errors.Is(err, errHelp):
			return cmd.Help()
		case err != nil:
			return a.words().misuse(err)
		default:
			return runMap(cmd.Context(), e, a)
		}
	}
	return cmd
}

// runMap maps the image and prints the map.
func runMap(ctx context.Context, e *env, a *mapArgs) error {
	a.access.warn(e)
	name, err := a.fileName()
	if err != nil {
		return err
	}
	res, err := a.mapFile(ctx, e, name)
	if err != nil {
		return err
	}
	if !a.options.Release.IsQemu() && a.options.Window.Start > 0 && a.options.Window.Start >= res.VirtualSize {
		return a.failed(fmt.Errorf("--start-offset %d is at or past the end of the disk, which has %d bytes",
			a.options.Window.Start, res.VirtualSize))
	}
	return printMap(e, a, res)
}

// failed says which file err is about.
func (a *mapArgs) failed(err error) error { return fmt.Errorf("map %s: %w", a.file, err) }

// mapFile runs the engine, with progress on a terminal.
func (a *mapArgs) mapFile(ctx context.Context, e *env, name string) (*mapResult, error) {
	eng, err := e.newEngine(a.access, a.limits)
	if err != nil {
		return nil, a.failed(err)
	}
	defer eng.Close()
	stop := e.progress("mapping " + a.file)
	res, err := eng.Map(ctx, name, a.options)
	stop()
	var qemu qemuTexter
	var f *fault.Fault
	switch {
	case err == nil:
		return res, nil
	case ctx.Err() != nil:
		return nil, a.failed(context.Cause(ctx))
	case a.options.Release.IsQemu() && errors.As(err, &qemu) && qemu.QemuText() != "":
		for _, text := range qemu.QemuStderr() {
			e.print("instarfs: " + text)
		}
		if errors.As(err, &f) && aborts(f) {
			return nil, abortError{f.Message()}
		}
		return nil, qemuError{fmt.Sprintf("Could not open '%s': %s", show.Line(a.file), qemu.QemuText())}
	default:
		return nil, err
	}
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"instarfs/cmd/instarfs/ending"
	"instarfs/cmd/instarfs/options"
	"instarfs/cmd/instarfs/progress"
	"instarfs/guest/fault"
	"instarfs/guest/show"
)

const mapHelp = `Print which parts of the virtual disk in FILENAME hold data, and where in the file they are.

Options may stand before or after FILENAME. Of a repeated option the last one counts. Long names may be
shortened as long as they are unambiguous. OFF and LEN are bytes: digits, 0x and hexadecimal digits, or a
decimal number with a suffix of k, M, G, T, P or E (powers of 1024). TIME is a
number of seconds, or like 1m30s.

Files that the image names (backing files, data files, extents) are opened if they lie beneath its own directory.

Nothing is printed unless the whole map is known, except with --qemu-version: then standard output, the texts
of errors and the exit status are those of that release of qemu-img. docs/quirks.md tells the differences.`

// mapName is the name of the command.
const mapName = "map"

func mapCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   mapName + " [OPTIONS] FILENAME",
		Short: "Print the allocation map of one image, as qemu-img map does",
		Long: mapHelp + "\n\nExit status:\n    0  the map is printed" +
			"\n    1  anything else, a wrong command line too, as with qemu-img; standard error " +
			"says why" +
			"\n  134  with --qemu-version, where that qemu-img aborts" + signalHelp,
		Example: `  instarfs map disk.qcow2
  instarfs map --output=json disk.qcow2 | jq 'map(select(.data)) | map(.length) | add'
  instarfs map -s 1G -l 64M disk.vmdk
  instarfs map --depth 0 overlay.qcow2
  instarfs map --qemu-version 7.2 disk.qcow2`,
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
	}
	options.AddFlags(cmd, newMapArgs().rows()) // for the help
	cmd.ValidArgsFunction = func(
		_ *cobra.Command, args []string, toComplete string,
	) ([]string, cobra.ShellCompDirective) {
		return options.Complete(newMapArgs().rows(), args, toComplete)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := mapByArgs(cmd.Context(), e, args)
		if errors.Is(err, errHelp) {
			return cmd.Help()
		}
		return err
	}
	return cmd
}

// mapByArgs carries out map. The error is errHelp if it is the help that is wanted.
func mapByArgs(ctx context.Context, e *env, args []string) error {
	a := newMapArgs()
	err := a.parse(options.Split(args, a.rows()))
	if errors.Is(err, errHelp) {
		return err
	}
	for _, w := range a.warnings {
		e.say("%s", w)
	}
	if err != nil {
		return a.words().Word(err)
	}
	return runMap(ctx, e, a)
}

// runMap maps the image and prints the map.
func runMap(ctx context.Context, e *env, a *mapArgs) error {
	a.Access.warn(func(line string) { e.say("%s", line) })
	name, err := fileName(a.file, a.Release)
	if err != nil {
		return err
	}
	res, err := mapFile(ctx, e, a, name)
	if err != nil {
		return err
	}
	if !a.Release.IsQemu() && a.options.Window.Start > 0 &&
		a.options.Window.Start >= res.VirtualSize {
		return mapError(a.file,
			fmt.Errorf("--start-offset %d is at or past the end of the disk, which has %d bytes",
				a.options.Window.Start, res.VirtualSize))
	}
	return printMap(e, a, res)
}

// mapError says which file, as it was typed, err is about.
func mapError(file string, err error) error { return fmt.Errorf("map %s: %w", file, err) }

// mapFile runs the engine, with progress on a terminal.
func mapFile(ctx context.Context, e *env, a *mapArgs, name string) (*mapResult, error) {
	if a.Cache.Dir != "" && !a.Release.IsQemu() { // somebody cares
		a.Cache.Log = func(line string) { e.say("%s", line) }
	}
	eng, err := e.newEngine(a.sharedOptions)
	if err != nil {
		return nil, mapError(a.file, err)
	}
	defer eng.Close()
	stop := func() {}
	if e.terminal {
		stop = progress.Tell(e.stderr, "mapping "+a.file)
	}
	o := a.options
	o.Release = a.Release
	res, err := eng.Map(ctx, name, o)
	stop()
	var qemu qemuTexter
	var f *fault.Fault
	switch {
	case err == nil:
		return res, nil
	case ctx.Err() != nil:
		return nil, mapError(a.file, context.Cause(ctx))
	case a.Release.IsQemu() && errors.As(err, &qemu) && qemu.QemuText() != "":
		for _, text := range qemu.QemuStderr() {
			e.print("instarfs: " + text)
		}
		if errors.As(err, &f) && aborts(f) {
			return nil, ending.Abort{Assertion: f.Message()}
		}
		return nil, ending.Qemu{Text: fmt.Sprintf("Could not open '%s': %s", show.Line(a.file),
			qemu.QemuText())}
	default:
		return nil, err
	}
}

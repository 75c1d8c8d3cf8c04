package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"instarfs/cmd/instarfs/ending"
	"instarfs/cmd/instarfs/options"
)

// A file system is also mounted as mount(8) and fstab(5) do it: by a helper, mount.instarfs, which
// is this program by another name, or with the arguments of a FUSE file system and no command, as
// mount.fuse3 calls it. Both return when the mount can be used.

// helperNames are the names by which mount(8) calls its helper.
var helperNames = []string{"mount.instarfs", "mount.fuse.instarfs"}

// calledAsHelper reports whether a program was called by the name of a helper.
func calledAsHelper(arg0 string) bool { return slices.Contains(helperNames, filepath.Base(arg0)) }

// helperArgs is the command line of a helper.
type helperArgs struct {
	lists      []string // of -o
	fake       bool     // check the command line only
	sloppy     bool     // ignore mount options that are unknown
	foreground bool
	debug      bool
}

// rows returns the options of a helper. -f is to fake in the protocol of mount(8), and to stay in
// the foreground in that of FUSE; the same holds for -s, which FUSE has for a single thread.
func (a *helperArgs) rows(named bool) []options.Option {
	ignore := func(string) error { return nil }
	f, s := options.Bool(&a.foreground), ignore
	if named {
		f, s = options.Bool(&a.fake), options.Bool(&a.sloppy)
	}
	return []options.Option{
		{Short: 'o', Long: "options", Arg: "OPTS", Set: options.List(&a.lists)},
		{Short: 'f', Set: f},
		{Short: 's', Set: s},
		{Short: 'd', Set: options.Bool(&a.debug)},
		{Short: 'v', Set: ignore},
		{Short: 'n', Set: ignore},
		{Short: 'r', Set: ignore},
		{Short: 'w', Set: ignore},
		{Short: 't', Arg: "TYPE", Set: ignore},
	}
}

// isMount reports whether a command line without a command asks for a mount: SOURCE MOUNTPOINT,
// with options. A word that could be a command, and names no file, is taken for one.
func isMount(root *cobra.Command, args []string) bool {
	_, operands := options.Split(args, new(helperArgs).rows(false))
	if len(operands) != 2 {
		return false
	}
	for _, c := range root.Commands() {
		if c.Name() == operands[0] {
			return false
		}
	}
	_, err := os.Stat(operands[0])
	return strings.Contains(operands[0], "/") || err == nil
}

// Exit statuses of a helper, see mount(8).
const (
	helperUsage  = 1
	helperFailed = 32
)

// runHelper carries out the command line of a helper.
func runHelper(ctx context.Context, e *env, args []string) error {
	o, fake, err := e.parseHelper(args)
	switch {
	case err != nil && e.helper:
		return ending.Helper{Code: helperUsage, Err: err}
	case err != nil:
		return ending.Usage{Err: err}
	case fake:
		return nil
	}
	err = runMount(ctx, e, *o)
	if err != nil && e.helper {
		return ending.Helper{Code: helperFailed, Err: err}
	}
	return err
}

func (e *env) parseHelper(args []string) (o *mountOptions, fake bool, err error) {
	a := &helperArgs{}
	items, operands := options.Split(args, a.rows(e.helper))
	for _, i := range items {
		if i.Problem != nil {
			return nil, false, fmt.Errorf("mount: %w (see 'instarfs mount --help')", i.Problem)
		}
		if err := i.Option.Assign(i.Value); err != nil {
			return nil, false, fmt.Errorf("mount: %w", err)
		}
	}
	if len(operands) != 2 {
		return nil, false, errors.New("mount: expecting SOURCE MOUNTPOINT [-o OPTIONS] (see " +
			"'instarfs mount --help')")
	}
	o = newMountOptions()
	rows := o.rows()
	for _, list := range a.lists {
		t := options.Tolerance{Writable: true, Unknown: a.sloppy}
		if err := options.ApplyMountOptions(rows, list, t); err != nil {
			return nil, false, fmt.Errorf("mount: -o %w (see 'instarfs mount --help')", err)
		}
	}
	o.Source, o.Mountpoint = operands[0], operands[1]
	o.Debug = o.Debug || a.debug
	o.Background = !a.foreground && !a.debug
	return o, a.fake, nil
}

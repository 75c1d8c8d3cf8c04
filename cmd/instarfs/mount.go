package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"instarfs/cmd/instarfs/options"
	"instarfs/cmd/instarfs/process"
)

const mountHelp = `Show, at MOUNTPOINT, the tree of SOURCE with two files for every disk image in it: NAME.map.json and
NAME.map.txt, the allocation map as qemu-img map prints it. The first read of one runs the map guest; what changes
in SOURCE changes in the mount. Nothing is written.

The command stays in the foreground and says when the mount is ready. SIGINT (Ctrl-C), SIGTERM, SIGHUP
or fusermount3 -u MOUNTPOINT unmount; a second SIGINT or SIGTERM leaves at once. SIGQUIT (Ctrl-\)
detaches the mount and prints what the program was doing.

Images are found by the extension of their names, or by --include. The map of any other regular file can be
opened by its name all the same. NAME.map.err, which is not listed, says why a map could not be made.

TIME is a number of seconds, or like 1m30s. What is limited is told in docs/limits.md.`

// defaultCacheBytes holds the maps of millions of extents, at 18 bytes an extent.
const defaultCacheBytes = 256 << 20

// rows returns the rows of the options of mount, but for -o.
func (o *mountOptions) rows() []options.Option {
	own := []options.Option{
		{Long: "allow-other", Set: options.Bool(&o.AllowOther),
			Help: "let other users in, as far as the modes of the images let them"},
		{Long: "include", Arg: "GLOB", Set: options.Globs(&o.Include),
			Help: "list files that match this instead of known extensions (repeatable)"},
		{Long: "exclude", Arg: "GLOB", Set: options.Globs(&o.Exclude),
			Help: "leave out files and directories that match this (repeatable)"},
		{Long: "cache-bytes", Arg: "BYTES", Usual: "256M", Set: options.Bytes(&o.CacheBytes, 0),
			Help: "keep maps up to this size, half of --memory at most; suffixes k, M, G"},
		{Long: "debug", Set: options.Bool(&o.Debug), Help: "log every request of the kernel"},
	}
	return append(own, o.sharedOptions.rows()...)
}

func mountCommand(e *env) *cobra.Command {
	o := &mountOptions{CacheBytes: defaultCacheBytes}
	rows := o.rows()
	var lists []string
	cmd := &cobra.Command{
		Use:   "mount [OPTIONS] SOURCE MOUNTPOINT",
		Short: "Show the maps of all images below a directory as files",
		Long: mountHelp + exitHelp("unmounted, by the first signal or from outside",
			"the mount failed, or could not be ended; one line on standard error says why"),
		DisableFlagsInUseLine: true,

		Args: expect("SOURCE", "MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Source, o.Mountpoint = args[0], args[1]
			for _, list := range lists {
				if err := applyMountOptions(rows, list); err != nil {
					return usageError{fmt.Errorf("mount: -o %w (see 'instarfs mount --help')", err)}
				}
			}
			return runMount(cmd.Context(), e, *o)
		},
	}
	options.AddFlags(cmd, rows)
	cmd.Flags().StringArrayVarP(&lists, "option", "o", nil,
		"the options above as mount `OPTS`: allow_other,cache_bytes=1G")
	return cmd
}

// ignoredMountOptions are those that mount(8) hands to every file system. A mount of ours is always
// read-only, nosuid, nodev and noexec, whatever they say.
var ignoredMountOptions = map[string]bool{
	"ro": true, "rw": true, "dev": true, "nodev": true, "suid": true, "nosuid": true,
	"exec": true, "noexec": true, "atime": true, "noatime": true, "relatime": true, "auto": true,
	"noauto": true, "user": true, "nouser": true, "nofail": true, "_netdev": true,
	"defaults": true,
}

// applyMountOptions sets the options that a list of mount options names, with _ for - as mount
// options are written.
func applyMountOptions(all []options.Option, list string) error {
	for word := range strings.SplitSeq(list, ",") {
		key, value, joined := strings.Cut(word, "=")
		if key == "" || ignoredMountOptions[word] || strings.HasPrefix(word, "x-") ||
			key == "comment" {
			continue
		}
		name := strings.ReplaceAll(key, "_", "-")
		i := slices.IndexFunc(all, func(o options.Option) bool { return o.Long == name })
		if i < 0 {
			return fmt.Errorf("%s: unknown mount option", word)
		}
		takes := all[i].Arg != ""
		switch {
		case takes && !joined:
			return fmt.Errorf("%s: a value is missing", word)
		case !takes && joined:
			return fmt.Errorf("%s: takes no value", word)
		case !takes:
			value = "true"
		}
		if err := all[i].Set(value); err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
	}
	return nil
}

// runMount mounts and serves until the mount is gone.
func runMount(ctx context.Context, e *env, o mountOptions) error {
	if !e.behind && slices.ContainsFunc(append([]string{o.Source}, o.Access.AllowDirs...),
		e.mayHold) {
		return process.ServeBehind(ctx, e.leave)
	}
	o.Log = func(line string) { e.print("instarfs: " + line + "\n") }
	o.Access.warn(e)
	m, err := e.newMount(o)
	if err != nil {
		return err
	}
	e.leave(func(syscall.Signal) { _ = m.Abort() })
	defer e.leave(nil)
	e.say("mounted %s at %s; stop with Ctrl-C or: fusermount3 -u %s", o.Source, o.Mountpoint,
		o.Mountpoint)
	return m.Serve(ctx)
}

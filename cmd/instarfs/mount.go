package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"instarfs/guest/img"
	"instarfs/vmm/chain"
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

func mountCommand(e *env) *cobra.Command {
	o := &mountOptions{CacheBytes: defaultCacheBytes}
	var version string
	var pairs []string
	cmd := &cobra.Command{
		Use:   "mount [OPTIONS] SOURCE MOUNTPOINT",
		Short: "Show the maps of all images below a directory as files",
		Long: mountHelp + exitHelp("unmounted, by the first signal or from outside",
			"the mount failed, or could not be ended; one line on standard error says why"),
		DisableFlagsInUseLine: true,

		Args: expect("SOURCE", "MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Source, o.Mountpoint = args[0], args[1]
			for _, list := range pairs {
				if err := applyMountOptions(cmd, list); err != nil {
					return usageError{fmt.Errorf("mount: -o %w (see 'instarfs mount --help')", err)}
				}
			}
			if version != "" {
				r, err := img.ParseRelease(version)
				if err != nil {
					return usageError{fmt.Errorf("mount: --qemu-version: %w", err)}
				}
				o.Release = r
			}
			if err := checkGlobs(cmd, "include", "exclude"); err != nil {
				return usageError{fmt.Errorf("mount: %w", err)}
			}
			for _, check := range []func() error{o.Access.check, o.Limits.check} {
				if err := check(); err != nil {
					return usageError{fmt.Errorf("mount: %w", err)}
				}
			}
			return runMount(cmd.Context(), e, *o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.AllowOther, "allow-other", false, "let other users in, as far as the modes of the images let them")
	f.StringArrayVar(&o.Include, "include", nil, "list files that match this `GLOB` instead of known extensions (repeatable)")
	f.StringArrayVar(&o.Exclude, "exclude", nil, "leave out files and directories that match this `GLOB` (repeatable)")
	f.Var(numberValue{&o.CacheBytes}, "cache-bytes",
		"keep maps up to this many `BYTES`, half of --memory at most; suffixes k, M, G")
	f.Var(numberValue{&o.Limits.Memory}, "memory",
		"what maps may take in all, `BYTES` (default: by what the process may have)")
	for _, t := range o.Limits.times() {
		f.Var(timeValue{t.d}, t.name, t.help)
	}
	f.StringVar(&version, "qemu-version", "", "make the bytes of this release of qemu-img, `X.Y`, 5.1 or newer")
	f.BoolVarP(&o.Access.ForceShare, "force-share", "U", false, "map images although somebody has them open for writing")
	f.StringVar(&o.Access.References, "references", "beneath", "files that images name and that may be opened, `WHICH`: beneath SOURCE, none, or any")
	f.StringVar(&o.Access.Rights, "reference-rights", "owner", "open them with the rights of `WHOSE`: the owner of the file that names them, or mount")
	f.StringArrayVar(&o.Access.AllowDirs, "allow-dir", nil, "a `DIR` in which such files may lie too (repeatable)")
	f.Uint64Var(&o.Access.MaxDepth, "max-depth", chain.DefaultMaxDepth, "backing files that may follow each other, `N`")
	f.BoolVar(&o.Debug, "debug", false, "log every request of the kernel")
	f.StringArrayVarP(&pairs, "option", "o", nil, "the options above as mount `OPTS`: allow_other,cache_bytes=1G")
	return cmd
}

// checkGlobs makes sure that the values of flags are globs, however they were given.
func checkGlobs(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		globs, err := cmd.Flags().GetStringArray(name)
		if err != nil {
			return err
		}
		for _, glob := range globs {
			if _, err := path.Match(glob, ""); err != nil {
				return fmt.Errorf("--%s '%s' is no glob: a [ needs its ], and a \\ needs a character "+
					"after it (see 'instarfs mount --help')", name, glob)
			}
		}
	}
	return nil
}

// ignoredMountOptions are those that mount(8) hands to every file system. A mount of ours is always read-only, nosuid, nodev
// and noexec, whatever they say.
var ignoredMountOptions = map[string]bool{
	"ro": true, "rw": true, "dev": true, "nodev": true, "suid": true, "nosuid": true, "exec": true, "noexec": true,
	"atime": true, "noatime": true, "relatime": true, "auto": true, "noauto": true, "user": true, "nouser": true,
	"nofail": true, "_netdev": true, "defaults": true,
}

// mountFlagNames are the flags that may be given with -o.
var mountFlagNames = map[string]bool{
	"allow-other": true, "include": true, "exclude": true, "cache-bytes": true, "qemu-version": true,
	"force-share": true, "debug": true, "references": true, "reference-rights": true, "allow-dir": true, "max-depth": true,
	"memory": true, "guest-time": true, "call-time": true, "source-time": true, "compose-time": true, "map-time": true,
}

// applyMountOptions sets the flags that a list of mount options names, with _ for - as mount options are written.
func applyMountOptions(cmd *cobra.Command, list string) error {
	for option := range strings.SplitSeq(list, ",") {
		key, value, joined := strings.Cut(option, "=")
		name := strings.ReplaceAll(key, "_", "-")
		switch {
		case key == "", ignoredMountOptions[option], strings.HasPrefix(option, "x-"), key == "comment":
			continue
		case !mountFlagNames[name]:
			return fmt.Errorf("%s: unknown mount option", option)
		}
		flag := cmd.Flags().Lookup(name)
		takes := flag.NoOptDefVal == ""
		switch {
		case takes && !joined:
			return fmt.Errorf("%s: a value is missing", option)
		case !takes && joined:
			return fmt.Errorf("%s: takes no value", option)
		case !takes:
			value = flag.NoOptDefVal
		}
		if err := flag.Value.Set(value); err != nil {
			return fmt.Errorf("%s: %w", option, err)
		}
	}
	return nil
}

// runMount mounts and serves until the mount is gone.
func runMount(ctx context.Context, e *env, o mountOptions) error {
	if !e.behind && slices.ContainsFunc(append([]string{o.Source}, o.Access.AllowDirs...), e.mayHold) {
		return serveBehind(ctx, e)
	}
	o.Log = func(line string) { e.print("instarfs: " + line + "\n") }
	o.Access.warn(e)
	m, err := e.newMount(o)
	if err != nil {
		return err
	}
	e.leave.do(func(syscall.Signal) { _ = m.Abort() })
	defer e.leave.do(nil)
	e.say("mounted %s at %s; stop with Ctrl-C or: fusermount3 -u %s", o.Source, o.Mountpoint, o.Mountpoint)
	return m.Serve(ctx)
}

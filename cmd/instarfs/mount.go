package main

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"instarfs/cmd/instarfs/ending"
	"instarfs/cmd/instarfs/mirror"
	"instarfs/cmd/instarfs/options"
	"instarfs/fusefs"
	"instarfs/guest/img"
)

const mountHelp = `Show, at MOUNTPOINT, the tree of SOURCE with two files for every disk image in it: NAME.map.json and
NAME.map.txt, the allocation map as qemu-img map prints it. The first read of one runs the map guest; what changes
in SOURCE changes in the mount. Nothing is written.

The command stays in the foreground and says when the mount is ready; with --background, and as
instarfs SOURCE MOUNTPOINT [-o OPTIONS], which mount(8) calls, it returns then. SIGINT (Ctrl-C), SIGTERM, SIGHUP
or fusermount3 -u MOUNTPOINT unmount; a second SIGINT or SIGTERM leaves at once. SIGQUIT (Ctrl-\)
detaches the mount and prints what the program was doing.

Images are found by the extension of their names, or by --include. The map of any other regular file can be
opened by its name all the same. NAME.map.err, which only --on-error report lists, says why a map could not be made.

TIME is a number of seconds, or like 1m30s. What is limited is told in docs/limits.md.`

// defaultCacheBytes holds the maps of millions of extents, at 18 bytes an extent.
const defaultCacheBytes = 256 << 20

func newMountOptions() *mountOptions {
	return &mountOptions{Options: mirror.Options{
		CacheBytes: defaultCacheBytes, Version: moduleVersion(), Given: map[string]string{},
	}}
}

// rows returns the rows of the options of mount, but for -o.
func (o *mountOptions) rows() []options.Option {
	own := []options.Option{
		{Long: "allow-other", Set: options.Bool(&o.AllowOther),
			Help: "let other users in, as far as the modes of the images let them"},
		{Long: "allow-root", Set: options.Bool(&o.AllowRoot),
			Help: "let root in, whom the kernel keeps out of a user's mount"},
		{Long: "include", Arg: "GLOB", Many: true, Set: options.Globs(&o.Include),
			Help: "list files that match this instead of known extensions"},
		{Long: "include-devices", Set: options.Bool(&o.Devices),
			Help: "list block devices, whatever their names; a map of one is 2 s old at most"},
		{Long: "exclude", Arg: "GLOB", Many: true, Set: options.Globs(&o.Exclude),
			Help: "leave out files and directories that match this"},
		{Long: "format-of", Arg: "GLOB=FMT", Many: true, Set: setFormatOf(&o.Formats),
			Help: "the format of files that match this, whatever they hold: a raw disk, whose " +
				"owner can make it look like anything, is never probed"},
		{Long: "on-error", Arg: "HOW", Usual: "error",
			Set: options.OneOf(&o.OnError, options.Word("error", fusefs.ShowError),
				options.Word("hide", fusefs.HideError),
				options.Word("report", fusefs.ReportError)),
			Help: "list an image without a map as files that fail (error), not at all (hide), or " +
				"as NAME.map.err with the reason (report); for the last two a listing maps first"},
		{Long: "times", Arg: "WHOSE", Usual: "chain",
			Set: options.OneOf(&o.OwnTimes, options.Word("chain", false),
				options.Word("image", true)),
			Help: "times of a map: the newest of all files under it, which move when the map may " +
				"have changed (chain), or the image's own"},
		{Long: "inode32", Set: options.Bool(&o.Inode32),
			Help: "show inode numbers that 32-bit programs can hold"},
		{Long: "cache-bytes", Arg: "BYTES", Usual: "256M", Set: options.Bytes(&o.CacheBytes, 0),
			Help: "keep maps up to this size, half of --memory at most; suffixes k, M, G"},
		{Long: "uid", Arg: "UID", Set: options.ID(&o.Override.UID),
			Help: "show this owner of all files and directories; who may read them is then up to " +
				"the modes that are shown, not to the images"},
		{Long: "gid", Arg: "GID", Set: options.ID(&o.Override.GID),
			Help: "show this group, likewise"},
		{Long: "umask", Arg: "MASK", Set: options.Mask(&o.Override.FileMask, &o.Override.DirMask),
			Help: "show all permissions but these (octal), likewise"},
		{Long: "fmask", Arg: "MASK", Set: options.Mask(&o.Override.FileMask),
			Help: "the same of files only"},
		{Long: "dmask", Arg: "MASK", Set: options.Mask(&o.Override.DirMask),
			Help: "the same of directories only"},
		{Long: "fsname", Arg: "NAME", Set: options.Text(&o.FSName), Usual: "SOURCE",
			Help: "the source that mount(8) and df(1) show"},
		{Long: "subtype", Arg: "NAME", Set: options.Text(&o.Subtype), Usual: "instarfs",
			Help: "the part of the type that they show after \"fuse.\""},
		{Long: "background", Set: options.Bool(&o.Background),
			Help: "return when the mount is ready; it then logs to syslog"},
		{Long: "pid-file", Arg: "FILE", Set: options.Text(&o.PIDFile),
			Help: "write the process number of the mount to this file"},
		{Long: "log-format", Arg: "HOW", Usual: "text",
			Set: options.OneOf(&o.Logs.JSON, options.Word("text", false),
				options.Word("json", true)),
			Help: "lines for people, or JSON for programs"},
		{Long: "log-level", Arg: "LEVEL", Usual: "info",
			Set: options.OneOf(&o.Logs.Level, options.Word("debug", slog.LevelDebug),
				options.Word("info", slog.LevelInfo), options.Word("warn", slog.LevelWarn),
				options.Word("error", slog.LevelError)),
			Help: "what is not less important than debug, info, warn or error"},
		{Long: "debug", Set: options.Bool(&o.Debug), Help: "log every request of the kernel"},
	}
	return options.Record(append(own, o.sharedOptions.rows()...), o.Given)
}

// setFormatOf returns a set function that adds a GLOB=FORMAT.
func setFormatOf(to *[]mirror.FormatOf) func(string) error {
	return func(s string) error {
		i := strings.LastIndexByte(s, '=')
		format := img.ParseFormat(s[i+1:])
		if i <= 0 || !format.Known() || format.IsPart() {
			return errors.New("must be GLOB=FORMAT, with a format such as raw or qcow2")
		}
		var globs []string
		if err := options.Globs(&globs)(s[:i]); err != nil {
			return err
		}
		*to = append(*to, mirror.FormatOf{Glob: s[:i], Format: format})
		return nil
	}
}

func mountCommand(e *env) *cobra.Command {
	o := newMountOptions()
	rows := o.rows()
	var lists []string
	cmd := &cobra.Command{
		Use:   "mount [OPTIONS] SOURCE MOUNTPOINT",
		Short: "Show the maps of all images below a directory as files",
		Long: mountHelp + exitHelp("unmounted, by the first signal or from outside",
			"the mount failed, or could not be ended; one line on standard error says why"),
		Example: `  instarfs mount /images /mnt/instar
  instarfs mount --background --allow-other --on-error report /images /mnt/instar
  instarfs mount --include '**/*.bin' --cache-bytes 1G /images /mnt/instar
  instarfs /images /mnt/instar -o umask=022,log_level=warn`,
		DisableFlagsInUseLine: true,

		ValidArgsFunction: directories,
		Args:              expect("SOURCE", "MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Source, o.Mountpoint = args[0], args[1]
			for _, list := range lists {
				if err := options.ApplyMountOptions(rows, list, options.Tolerance{}); err != nil {
					return ending.Usagef("mount: -o %w (see 'instarfs mount --help')", err)
				}
			}
			return runMount(cmd.Context(), e, *o)
		},
	}
	options.AddFlags(cmd, append(rows, options.Option{Short: 'o', Long: "option", Arg: "OPTS",
		Many: true, Set: options.List(&lists),
		Help: "the options above as mount options: allow_other,cache_bytes=1G"}))
	return cmd
}

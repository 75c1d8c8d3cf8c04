package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"

	"instarfs/cmd/instarfs/guests"
	"instarfs/cmd/instarfs/memory"
	"instarfs/cmd/instarfs/options"
	"instarfs/guest/img"
	"instarfs/vmm/chain"
	"instarfs/vmm/files"
	"instarfs/vmm/gate"
	"instarfs/vmm/session"
)

// sharedOptions are the values of the options that map and mount share. The zero value is what they
// are without any option.
type sharedOptions struct {
	Access  accessOptions
	Limits  guests.Limits
	Release img.Release
	// Isolation is what carries the runs of the guest.
	Isolation guests.Isolation
	Cache     guests.Cache
}

var isolationChoices = []options.Choice[guests.Isolation]{
	options.Word("auto", guests.Auto), options.Word("kvm", guests.KVM),
	options.Word("process", guests.Process),
}

// setRelease returns a set function for a release of qemu-img, or for that of the installed one,
// which is asked.
func setRelease(to *img.Release) func(string) error {
	return func(s string) error {
		if s == "installed" {
			out, err := exec.Command("qemu-img", "--version").Output()
			if err != nil {
				return fmt.Errorf("ask qemu-img --version: %w", err)
			}
			if _, err := fmt.Sscanf(string(out), "qemu-img version %s", &s); err != nil {
				return errors.New("qemu-img --version tells no version")
			}
		}
		return options.Release(to)(s)
	}
}

// rows returns the rows of the options that set o. A row here is all that an option needs: it is
// parsed, listed in the help of every command that shares it, and known to mount -o.
func (o *sharedOptions) rows() []options.Option {
	return []options.Option{
		{Long: "qemu-version", Arg: "X.Y", Set: setRelease(&o.Release),
			Help: "behave like this release of qemu-img, 5.1 or newer, or like the one that is " +
				"installed"},
		{Short: 'U', Long: "force-share", Qemu: true, Set: options.Bool(&o.Access.ForceShare),
			Help: "map images although somebody has them open for writing"},
		{Long: "references", Arg: "WHICH", Usual: "beneath",
			Set: options.OneOf(&o.Access.References,
				options.Word("beneath", files.Beneath),
				options.Word("none", files.None),
				options.Word("any", files.Any)),
			Help: "files to open that images name: those beneath the image or SOURCE, " +
				"none, or any"},
		{Long: "reference-rights", Arg: "WHOSE", Usual: "owner",
			Set: options.OneOf(&o.Access.OwnRights,
				options.Word("owner", false), options.Word("mount", true)),
			Help: "with whose rights: the owner's of the file that names them, or this process's " +
				"(mount)"},
		{Long: "allow-dir", Arg: "DIR", Many: true, Set: options.List(&o.Access.AllowDirs),
			Help: "a directory in which such files may lie too"},
		{Long: "max-depth", Arg: "N", Usual: strconv.Itoa(chain.DefaultMaxDepth),
			Set:  options.Count(&o.Access.MaxDepth, maxMaxDepth),
			Help: "backing files that may follow each other"},
		{Long: "isolation", Arg: "HOW", Usual: "auto",
			Set:  options.OneOf(&o.Isolation, isolationChoices...),
			Help: "what guests run in: kvm, process, or auto, which is kvm where that is usable"},
		{Long: "guest-cache", Arg: "DIR", Usual: "the user's or the system's",
			Set:  o.setCache,
			Help: "where a started guest of kvm is kept for other processes, or off"},
		{Long: "memory", Arg: "BYTES", Usual: "a share of what the process may have",
			Set:  options.Bytes(&o.Limits.Memory, memory.Least),
			Help: "what maps may take in all"},
		{Long: "guest-time", Arg: "TIME", Usual: options.ShortTime(session.DefaultBudget.Time),
			Set: options.Time(&o.Limits.Guest), Help: "processor time of a run of the guest"},
		{Long: "call-time", Arg: "TIME", Usual: options.ShortTime(gate.DefaultCallTime),
			Set: options.Time(&o.Limits.Call), Help: "for a file system to answer one call"},
		{Long: "source-time", Arg: "TIME", Usual: options.ShortTime(chain.DefaultSource),
			Set: options.Time(&o.Limits.Source), Help: "to read the files under a map"},
		{Long: "timeout", Arg: "TIME", Set: options.Time(&o.Limits.Source),
			Help: "a shorter name for --source-time"},
		{Long: "compose-time", Arg: "TIME", Usual: options.ShortTime(chain.DefaultCompose),
			Set: options.Time(&o.Limits.Compose), Help: "to put a map together"},
		{Long: "map-time", Arg: "TIME", Usual: options.ShortTime(chain.DefaultMap),
			Set: options.Time(&o.Limits.Map), Help: "for a map in all"},
	}
}

// setCache sets the directory of the guest cache.
func (o *sharedOptions) setCache(dir string) error {
	switch dir {
	case "":
		return errors.New("must be a directory, or off")
	case "off":
		o.Cache.Dir, o.Cache.Off = "", true
	default:
		o.Cache.Dir, o.Cache.Off = dir, false
	}
	return nil
}

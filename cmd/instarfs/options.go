package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"instarfs/guest/img"
	"instarfs/vmm/chain"
	"instarfs/vmm/files"
	"instarfs/vmm/gate"
	"instarfs/vmm/session"
)

// option is one option of a command: its line in the help, how it is parsed, and what it sets.
type option struct {
	short byte   // 0 if there is only the long name
	long  string // without the dashes
	arg   string // the word for its argument in the help, empty if it takes none
	help  string // empty for an option that is only known in order to be refused
	usual string // the value without the option, as the help shows it; empty if none is shown
	qemu  bool   // qemu-img map has it: what abbreviates one of its names does not abbreviate ours
	// set takes the value, "true" where the option takes none. It may be called repeatedly. An
	// error says what is wrong with the value, and not of which option it is.
	set func(value string) error
}

// sharedOptions are the values of the options that map and mount share. The zero value is what they
// are without any option.
type sharedOptions struct {
	Access  accessOptions
	Limits  limitOptions
	Release img.Release
	// Isolation is what carries the runs of the guest.
	Isolation isolation
}

// rows returns the rows of the options that set o. A row here is all that an option needs: it is
// parsed, listed in the help of every command that shares it, and known to mount -o.
func (o *sharedOptions) rows() []option {
	return []option{
		{long: "qemu-version", arg: "X.Y", set: setVersion(&o.Release),
			help: "behave like this release of qemu-img, 5.1 or newer"},
		{short: 'U', long: "force-share", qemu: true, set: setBool(&o.Access.ForceShare),
			help: "map images although somebody has them open for writing"},
		{long: "references", arg: "WHICH", usual: "beneath", set: setOneOf(&o.Access.References,
			choice[files.References]{"beneath", files.Beneath},
			choice[files.References]{"none", files.None},
			choice[files.References]{"any", files.Any}),
			help: "files to open that images name: those beneath the image or SOURCE, none, or any"},
		{long: "reference-rights", arg: "WHOSE", usual: "owner", set: setOneOf(&o.Access.OwnRights,
			choice[bool]{"owner", false}, choice[bool]{"mount", true}),
			help: "with whose rights: the owner's of the file that names them, or this process's (mount)"},
		{long: "allow-dir", arg: "DIR", set: setList(&o.Access.AllowDirs),
			help: "a directory in which such files may lie too (repeatable)"},
		{long: "max-depth", arg: "N", usual: strconv.Itoa(chain.DefaultMaxDepth),
			set:  setCount(&o.Access.MaxDepth, maxMaxDepth),
			help: "backing files that may follow each other"},
		{long: "isolation", arg: "HOW", usual: "auto", set: setOneOf(&o.Isolation, isolationChoices...),
			help: "what guests run in: kvm, process, or auto, which is kvm where that is usable"},
		{long: "memory", arg: "BYTES", usual: "a share of what the process may have",
			set:  setBytes(&o.Limits.Memory, minMemory),
			help: "what maps may take in all"},
		{long: "guest-time", arg: "TIME", usual: shortTime(session.DefaultBudget.Time),
			set: setTime(&o.Limits.Guest), help: "processor time of a run of the guest"},
		{long: "call-time", arg: "TIME", usual: shortTime(gate.DefaultCallTime),
			set: setTime(&o.Limits.Call), help: "for a file system to answer one call"},
		{long: "source-time", arg: "TIME", usual: shortTime(chain.DefaultSource),
			set: setTime(&o.Limits.Source), help: "to read the files under a map"},
		{long: "compose-time", arg: "TIME", usual: shortTime(chain.DefaultCompose),
			set: setTime(&o.Limits.Compose), help: "to put a map together"},
		{long: "map-time", arg: "TIME", usual: shortTime(chain.DefaultMap),
			set: setTime(&o.Limits.Map), help: "for a map in all"},
	}
}

// valueError is a value that an option does not take.
type valueError struct {
	option option
	value  string
	err    error
}

func (e valueError) Error() string {
	return fmt.Sprintf("--%s '%s': %v", e.option.long, e.value, e.err)
}

func (e valueError) Unwrap() error { return e.err }

// assign sets o to a value. The error is a valueError.
func (o option) assign(value string) error {
	if err := o.set(value); err != nil {
		return valueError{o, value, err}
	}
	return nil
}

// addFlags makes flags of a command out of the options that its help lists, in their order.
func addFlags(cmd *cobra.Command, options []option) {
	flags := cmd.Flags()
	flags.SortFlags = false
	for _, o := range options {
		if o.help == "" {
			continue
		}
		help, short := o.help, ""
		if o.usual != "" {
			help += " (default " + o.usual + ")"
		}
		if o.short != 0 {
			short = string(rune(o.short))
		}
		flag := flags.VarPF(flagValue{o}, o.long, short, help)
		if o.arg == "" {
			flag.NoOptDefVal = "true"
		}
	}
}

// flagValue is an option as pflag sees it.
type flagValue struct{ option }

// Set implements pflag.Value.
func (v flagValue) Set(value string) error { return v.assign(value) }

// String implements pflag.Value. It is no value, as the help shows option.usual; but cobra reads
// whether --help was given.
func (v flagValue) String() string {
	if v.arg == "" {
		return "false"
	}
	return ""
}

// Type implements pflag.Value: it is the word for the argument.
func (v flagValue) Type() string {
	if v.arg == "" {
		return "bool"
	}
	return v.arg
}

// shortTime is a time as people type it: 1m and not 1m0s.
func shortTime(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return d.String()
}

// Package options describes, splits and parses the options of a command line. A row of a table says
// all about an option, and serves to parse it, to list it in the help and to find it by other
// names. Command lines are split the way getopt_long does, and numbers are read the way qemu-img
// does. An error says what is wrong with a value, and what would be right.
package options

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// Option is one option of a command: its line in the help, how it is parsed, and what it sets.
type Option struct {
	Short byte   // 0 if there is only the long name
	Long  string // without the dashes
	Arg   string // the word for its argument in the help, empty if it takes none
	Help  string // empty for an option that is only known in order to be refused
	Usual string // the value without the option, as the help shows it; empty if none is shown
	Many  bool   // all values that are given count, not only the last
	Qemu  bool   // qemu-img map has it: what abbreviates one of its names does not abbreviate ours
	// Values are those that shells suggest, where Set does not tell.
	Values []string
	// Set takes the value, "true" if the option takes none. It may be called repeatedly. An error
	// says what is wrong with the value, and not of which option it is.
	Set func(value string) error
}

// ValueError is a value that an option does not take.
type ValueError struct {
	Option Option
	Value  string
	Err    error
}

func (e ValueError) Error() string {
	return fmt.Sprintf("--%s '%s': %v", e.Option.Long, e.Value, e.Err)
}

func (e ValueError) Unwrap() error { return e.Err }

// Assign sets o to a value. The error is a ValueError.
func (o Option) Assign(value string) error {
	if err := o.Set(value); err != nil {
		return ValueError{o, value, err}
	}
	return nil
}

// Record makes options note in given, by their long names, the values that they are set to. Those
// of a repeatable option are joined by commas.
func Record(options []Option, given map[string]string) []Option {
	recording := slices.Clone(options)
	for i, o := range options {
		recording[i].Set = func(value string) error {
			err := o.Set(value)
			if err == nil && o.Many && given[o.Long] != "" {
				value = given[o.Long] + "," + value
			}
			if err == nil {
				given[o.Long] = value
			}
			return err
		}
	}
	return recording
}

// AddFlags makes flags of a command out of the options that its help lists, in their order.
func AddFlags(cmd *cobra.Command, options []Option) {
	flags := cmd.Flags()
	flags.SortFlags = false
	for _, o := range options {
		if o.Help == "" {
			continue
		}
		help, short := o.Help, ""
		if o.Many {
			help += " (repeatable)"
		}
		if o.Usual != "" {
			help += " (default " + o.Usual + ")"
		}
		if o.Short != 0 {
			short = string(rune(o.Short))
		}
		flag := flags.VarPF(flagValue{o}, o.Long, short, help)
		if o.Arg == "" {
			flag.NoOptDefVal = "true"
			continue
		}
		complete := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return o.complete()
		}
		if err := cmd.RegisterFlagCompletionFunc(o.Long, complete); err != nil {
			panic(err) // there is no such flag, or two of them
		}
	}
}

// flagValue is an option as pflag sees it.
type flagValue struct{ Option }

// Set implements pflag.Value.
func (v flagValue) Set(value string) error { return v.Assign(value) }

// String implements pflag.Value. It is no value, as the help shows Option.Usual; but cobra reads
// whether --help was given.
func (v flagValue) String() string {
	if v.Arg == "" {
		return "false"
	}
	return ""
}

// Type implements pflag.Value: it is the word for the argument.
func (v flagValue) Type() string {
	if v.Arg == "" {
		return "bool"
	}
	return v.Arg
}

// ShortTime returns a time as people type it: 1m and not 1m0s.
func ShortTime(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return d.String()
}

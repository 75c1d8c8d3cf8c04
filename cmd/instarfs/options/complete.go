package options

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Complete returns the values that may stand for the last word of a command line, args and
// toComplete, as cobra asks for it where it does not parse the options itself. It may set options.
func Complete(
	options []Option, args []string, toComplete string,
) (words []string, how cobra.ShellCompDirective) {
	name, _, joined := strings.Cut(toComplete, "=")
	if joined && strings.HasPrefix(toComplete, "--") {
		if o, ok := find(options, name); ok {
			words, how = o.complete()
			for i := range words {
				words[i] = name + "=" + words[i]
			}
			return words, how
		}
	}
	if len(args) > 0 {
		if o, ok := find(options, args[len(args)-1]); ok && o.Arg != "" {
			return o.complete()
		}
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// find finds an option by a word of the command line: -f or --format.
func find(options []Option, word string) (Option, bool) {
	i := slices.IndexFunc(options, func(o Option) bool {
		return word == "--"+o.Long || o.Short != 0 && word == "-"+string(rune(o.Short))
	})
	if i < 0 {
		return Option{}, false
	}
	return options[i], true
}

// complete returns the values of an option. It finds out by a value that is none.
func (o Option) complete() ([]string, cobra.ShellCompDirective) {
	var words noneOf
	switch {
	case len(o.Values) > 0:
		return slices.Clone(o.Values), cobra.ShellCompDirectiveNoFileComp
	case o.Arg == "FILE":
		return nil, cobra.ShellCompDirectiveDefault
	case o.Arg == "DIR":
		return nil, cobra.ShellCompDirectiveFilterDirs
	case errors.As(o.Set(""), &words):
		return words, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

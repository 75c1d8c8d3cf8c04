package main

import "strings"

// A command line is split the way getopt_long of the C library does it, as scripts written for
// qemu-img expect: options before or after operands, unambiguous prefixes of long names.

// item is what getopt found, in the order of the command line: an option, or what is wrong in its
// place.
type item struct {
	option  *option
	value   string // "true" where the option takes none
	problem error  // an optionError, and option is nil
}

// optionError is what is wrong with an option.
type optionError struct {
	kind   optionKind
	word   string // of the command line, with all that it holds
	letter byte   // of a short option, else 0
	long   string // of a long option: its name, or as much as was typed of one that is ambiguous
}

type optionKind uint8

const (
	optionUnknown optionKind = iota
	optionAmbiguous
	optionTakesNothing
	optionNeedsArgument
)

// Error is in the words of qemu-img before 10.0, which are good enough for us.
func (e optionError) Error() string {
	if e.kind == optionNeedsArgument {
		return "missing argument for option '" + e.word + "'"
	}
	return "unrecognized option '" + e.word + "'"
}

// getopt splits a command line into options and operands. It continues after a problem.
func getopt(args []string, options []option) (items []item, operands []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return items, append(operands, args[i+1:]...)
		case strings.HasPrefix(arg, "--"):
			name, value, joined := strings.Cut(arg[2:], "=")
			o, matches := byName(options, name)
			switch {
			case matches == 0:
				items = append(items, item{problem: optionError{optionUnknown, arg, 0, name}})
				continue
			case matches > 1:
				items = append(items, item{problem: optionError{optionAmbiguous, arg, 0, name}})
				continue
			case joined && o.arg == "":
				problem := optionError{optionTakesNothing, arg, 0, o.long}
				items = append(items, item{problem: problem})
				continue
			case o.arg == "":
				value = "true"
			case !joined:
				if i++; i == len(args) {
					problem := optionError{optionNeedsArgument, arg, 0, o.long}
					return append(items, item{problem: problem}), operands
				}
				value = args[i]
			}
			items = append(items, item{option: o, value: value})
		case len(arg) > 1 && arg[0] == '-':
			used, found := cluster(arg, args[i+1:], options)
			items = append(items, found...)
			i += used
		default:
			operands = append(operands, arg)
		}
	}
	return items, operands
}

// cluster reads the short options of one word. It returns how many of the words that follow they used up.
func cluster(word string, rest []string, options []option) (used int, items []item) {
	for at := 1; at < len(word); at++ {
		o := byLetter(options, word[at])
		switch {
		case o == nil:
			items = append(items, item{problem: optionError{optionUnknown, word, word[at], ""}})
		case o.arg == "":
			items = append(items, item{option: o, value: "true"})
		case at+1 < len(word):
			return 0, append(items, item{option: o, value: word[at+1:]})
		case len(rest) > 0:
			return 1, append(items, item{option: o, value: rest[0]})
		default:
			problem := optionError{optionNeedsArgument, word, o.short, ""}
			return 0, append(items, item{problem: problem})
		}
	}
	return 0, items
}

// byName finds the option with this name, or those whose names begin with it, among those of
// qemu-img first. found is nil where there are no matches.
func byName(options []option, name string) (found *option, matches int) {
	ours := 0
	for i := range options {
		o := &options[i]
		switch {
		case o.long == name:
			return o, 1
		case !strings.HasPrefix(o.long, name):
		case o.qemu:
			matches++
			found = o
		default:
			ours++
			if matches == 0 {
				found = o
			}
		}
	}
	if matches == 0 {
		matches = ours
	}
	return found, matches
}

// byLetter finds the option with this short name, nil if there is none.
func byLetter(options []option, letter byte) *option {
	for i := range options {
		if options[i].short == letter && letter != 0 {
			return &options[i]
		}
	}
	return nil
}

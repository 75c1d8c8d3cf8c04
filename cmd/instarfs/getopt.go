package main

import "strings"

// option is one option of a command that is parsed the way getopt_long of the C library does it, as scripts written for
// qemu-img expect: options before or after operands, the last of a repeated option wins, unambiguous prefixes of long names.
type option struct {
	short byte   // 0 if there is only the long name
	long  string // without the dashes
	takes bool   // an argument follows
	ours  bool   // qemu-img does not know it: what is short for one of its own names stays that
}

// item is what getopt found, in the order of the command line: an option, or what is wrong in its place.
type item struct {
	name    string // option.long
	value   string
	problem string // in the words of qemu-img, instead of the above
}

// getopt splits a command line into options and operands. It goes on behind problems.
func getopt(args []string, options []option) (items []item, operands []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return items, append(operands, args[i+1:]...)
		case strings.HasPrefix(arg, "--"):
			name, value, joined := strings.Cut(arg[2:], "=")
			o, ok := byName(options, name)
			switch {
			case !ok || joined && !o.takes:
				items = append(items, item{problem: "unrecognized option '" + arg + "'"})
				continue
			case o.takes && !joined:
				if i++; i == len(args) {
					return append(items, item{problem: missingArgument(arg)}), operands
				}
				value = args[i]
			}
			items = append(items, item{name: o.long, value: value})
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
		o, ok := byLetter(options, word[at])
		switch {
		case !ok:
			items = append(items, item{problem: "unrecognized option '" + word + "'"})
		case !o.takes:
			items = append(items, item{name: o.long})
		case at+1 < len(word):
			return 0, append(items, item{name: o.long, value: word[at+1:]})
		case len(rest) > 0:
			return 1, append(items, item{name: o.long, value: rest[0]})
		default:
			return 0, append(items, item{problem: missingArgument(word)})
		}
	}
	return 0, items
}

func missingArgument(word string) string { return "missing argument for option '" + word + "'" }

// byName finds the option with this name, or the only one whose name begins with it, among those of qemu-img first.
func byName(options []option, name string) (found option, ok bool) {
	matches, ours := 0, 0
	for _, o := range options {
		switch {
		case o.long == name:
			return o, true
		case !strings.HasPrefix(o.long, name):
		case o.ours:
			ours++
			if matches == 0 {
				found = o
			}
		default:
			matches++
			found = o
		}
	}
	return found, matches == 1 || matches == 0 && ours == 1
}

func byLetter(options []option, letter byte) (option, bool) {
	for _, o := range options {
		if o.short == letter && letter != 0 {
			return o, true
		}
	}
	return option{}, false
}

package options

import "strings"

// Item is an option that Split found, or what is wrong in its place.
type Item struct {
	Option  *Option // nil if there is a problem
	Value   string  // "true" if the option takes none
	Problem error   // a Problem, or nil
}

// Problem says what is wrong with an option.
type Problem struct {
	Kind   ProblemKind
	Word   string // of the command line, with all that it holds
	Letter byte   // of a short option, else 0
	Long   string // of a long option: its name, or what was typed of an ambiguous one
}

// ProblemKind is what can be wrong with an option.
type ProblemKind uint8

// The kinds of Problem.
const (
	Unknown ProblemKind = iota
	Ambiguous
	TakesNothing
	NeedsArgument
)

// Error uses the words of qemu-img before 10.0, which are good enough for us.
func (e Problem) Error() string {
	if e.Kind == NeedsArgument {
		return "missing argument for option '" + e.Word + "'"
	}
	return "unrecognized option '" + e.Word + "'"
}

// Split splits a command line into options, in their order, and operands, as getopt_long of the C
// library does, and as scripts written for qemu-img expect: options may stand after operands, and
// long names may be shortened as long as they are unambiguous. It continues after a problem.
func Split(args []string, options []Option) (items []Item, operands []string) {
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
				items = append(items, Item{Problem: Problem{Unknown, arg, 0, name}})
				continue
			case matches > 1:
				items = append(items, Item{Problem: Problem{Ambiguous, arg, 0, name}})
				continue
			case joined && o.Arg == "":
				problem := Problem{TakesNothing, arg, 0, o.Long}
				items = append(items, Item{Problem: problem})
				continue
			case o.Arg == "":
				value = "true"
			case !joined:
				if i++; i == len(args) {
					problem := Problem{NeedsArgument, arg, 0, o.Long}
					return append(items, Item{Problem: problem}), operands
				}
				value = args[i]
			}
			items = append(items, Item{Option: o, Value: value})
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

// cluster reads the short options of one word. It returns how many of the words that follow they
// used up.
func cluster(word string, rest []string, options []Option) (used int, items []Item) {
	for at := 1; at < len(word); at++ {
		o := byLetter(options, word[at])
		switch {
		case o == nil:
			items = append(items, Item{Problem: Problem{Unknown, word, word[at], ""}})
		case o.Arg == "":
			items = append(items, Item{Option: o, Value: "true"})
		case at+1 < len(word):
			return 0, append(items, Item{Option: o, Value: word[at+1:]})
		case len(rest) > 0:
			return 1, append(items, Item{Option: o, Value: rest[0]})
		default:
			problem := Problem{NeedsArgument, word, o.Short, ""}
			return 0, append(items, Item{Problem: problem})
		}
	}
	return 0, items
}

// byName finds the option with this name, or else those whose names begin with it. What abbreviates
// an option of qemu-img does not abbreviate ours. found is nil if there are no matches.
func byName(options []Option, name string) (found *Option, matches int) {
	ours := 0
	for i := range options {
		o := &options[i]
		switch {
		case o.Long == name:
			return o, 1
		case !strings.HasPrefix(o.Long, name):
		case o.Qemu:
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

// byLetter returns the option with this short name, or nil if there is none.
func byLetter(options []Option, letter byte) *Option {
	for i := range options {
		if options[i].Short == letter && letter != 0 {
			return &options[i]
		}
	}
	return nil
}

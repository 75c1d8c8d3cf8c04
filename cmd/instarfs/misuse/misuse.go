// Package misuse words mistakes on the command line of map as qemu-img does. Its words changed with
// 10.0, and a little with 11.1.
package misuse

import (
	"errors"
	"fmt"
	"strings"

	"instarfs/cmd/instarfs/ending"
	"instarfs/cmd/instarfs/options"
	"instarfs/guest/img"
	"instarfs/guest/show"
)

// ErrOneName is a command line without the name of a file, or with more than one.
var ErrOneName = errors.New("expecting one image file name")

// Words are those of one release, or none of them in our own profile.
type Words struct {
	qemu   bool // a release
	modern bool // 10.0 or newer
	newest bool // 11.1 or newer
}

// Of returns those of a release.
func Of(release img.Release) Words {
	return Words{qemu: release.IsQemu(), modern: release.Since(10, 0), newest: release.Since(11, 1)}
}

// Modern reports whether options are parsed as qemu-img does since 10.0.
func (w Words) Modern() bool { return w.modern }

// Word returns an error of parsing the command line in the words of the release.
func (w Words) Word(err error) error {
	var option options.Problem
	var value options.ValueError
	switch {
	case errors.As(err, new(ending.Qemu)):
		return err
	case errors.As(err, &option):
		return w.option(option)
	case errors.As(err, &value) && w.qemu && value.Option.Long == "output":
		return w.output(value.Value)
	case errors.As(err, &value) && w.qemu && value.Option.Qemu:
		return ending.Qemu{Text: strings.Join(w.number(value), "\ninstarfs: ")}
	case errors.Is(err, ErrOneName) && w.qemu:
		return ending.Qemu{Text: "Expecting one image file name\n" + w.try()}
	case errors.Is(err, ErrOneName):
		return fmt.Errorf("map: %w (see 'instarfs map --help')", err)
	default:
		return fmt.Errorf("map: %w", err)
	}
}

// try is the line that follows most mistakes.
func (w Words) try() string {
	switch {
	case w.newest:
		return "Try 'qemu-img map --help' for more information"
	case w.modern:
		return "Try 'qemu-img map --help' for more info"
	}
	return "Try 'qemu-img --help' for more information"
}

// number is what qemu-img says of a number that is none, or out of range, in lines.
func (w Words) number(n options.ValueError) []string {
	what := strings.ReplaceAll(n.Option.Long, "-", " ")
	switch {
	case errors.Is(n.Err, options.ErrNumberRange):
		const limits = " specified. Must be between 0 and 9223372036854775807."
		return []string{"Invalid " + what + limits}
	case w.newest:
		return []string{"Invalid " + what + " specified: '" + show.Line(n.Value) + "'"}
	case w.modern:
		return []string{"Invalid " + what + " specified: '" + show.Line(n.Value) + "'."}
	}
	return []string{"Invalid " + what + " specified. You may use k, M, G, T, P or E suffixes for",
		"kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes."}
}

// output is what qemu-img says of a value of --output that is none.
func (w Words) output(value string) error {
	comma := ""
	if w.newest {
		comma = ","
	}
	if w.modern {
		return ending.Qemu{Text: fmt.Sprintf("--output expects 'human' or 'json'%s not '%s'\n%s",
			comma, show.Line(value), w.try())}
	}
	return ending.Qemu{Text: "--output must be used with human or json as argument."}
}

// option words what getopt found wrong.
func (w Words) option(o options.Problem) error {
	switch {
	case !w.qemu:
		return fmt.Errorf("map: %w (see 'instarfs map --help')", o)
	case !w.modern:
		return ending.Qemu{Text: show.Line(o.Error()) + "\n" + w.try()}
	}
	text := ""
	switch {
	case o.Kind == options.Unknown && o.Letter != 0:
		text = "invalid option -- '" + string([]byte{o.Letter}) + "'"
	case o.Kind == options.Unknown:
		text = "unrecognized option '" + o.Word + "'"
	case o.Kind == options.Ambiguous:
		text = "option '" + o.Word + "' is ambiguous; possibilities:"
		for _, name := range w.order() {
			if strings.HasPrefix(name, o.Long) {
				text += " '--" + name + "'"
			}
		}
	case o.Kind == options.TakesNothing:
		text = "option '--" + o.Long + "' doesn't allow an argument"
	case o.Letter != 0:
		text = "option requires an argument -- '" + string([]byte{o.Letter}) + "'"
	default:
		text = "option '--" + o.Long + "' requires an argument"
	}
	return ending.Getopt{Text: show.Line(text) + "\n" + w.try()}
}

// order is that of qemu-img's own table of options.
func (w Words) order() []string {
	if w.newest {
		return []string{"help", "format", "image-opts", "start-offset", "max-length", "force-share",
			"output", "object"}
	}
	return []string{"help", "format", "output", "object", "image-opts", "force-share",
		"start-offset", "max-length"}
}

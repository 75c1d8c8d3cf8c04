package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"instarfs/cmd/instarfs/ending"
	"instarfs/cmd/instarfs/options"
	"instarfs/cmd/instarfs/process"
	"instarfs/guest/show"
)

// The rules of what the commands print: data goes to standard output, all else to standard error,
// one line each, beginning with "instarfs: ", without a capital in front or a full stop at the end.
// A line says what was tried, on which file, why it went wrong and what to do. The texts of a
// qemu-img profile are qemu-img's instead.

// exitHelp is the part of a command's help that tells its exit statuses, beginning with what
// success and failure mean.
func exitHelp(success, failure string) string {
	return "\n\nExit status:\n    0  " + success + "\n    1  " + failure +
		"\n    2  the command line makes no sense" + signalHelp
}

const signalHelp = "\n  130  ended by SIGINT; 143 by SIGTERM; 129 by SIGHUP"

// run is the program: it carries out the command line and returns the exit status.
func run(ctx context.Context, args []string, e *env) int {
	err := execute(ctx, args, e)
	if err != nil {
		e.report(err)
	}
	return ending.Status(err)
}

// execute carries out a command line. A map does without what all other commands need, which takes
// half a millisecond: scripts call it once for each image.
func execute(ctx context.Context, args []string, e *env) error {
	if len(args) > 0 && args[0] == mapName {
		if err := mapByArgs(ctx, e, args[1:]); !errors.Is(err, errHelp) {
			return err
		}
	}
	cmd := rootCommand(e)
	if e.helper || isMount(cmd, args) {
		return runHelper(ctx, e, args)
	}
	cmd.SetArgs(args)
	cmd.SetOut(e.stdout)
	cmd.SetErr(e.stderr)
	return cmd.ExecuteContext(ctx)
}

// report prints an error.
func (e *env) report(err error) {
	var qemu ending.Qemu
	var getopt ending.Getopt
	var status process.StatusError
	switch {
	case errors.As(err, &status): // the process that did the work has said why
	case errors.Is(err, syscall.EPIPE): // the reader of standard output has left
	case errors.As(err, &qemu):
		e.print("instarfs: " + qemu.Text + "\n")
	case errors.As(err, &getopt):
		e.print("instarfs map: " + getopt.Text + "\n")
	default:
		e.say("%v", err)
	}
}

// say prints one line of talk, fit to be shown. An error is of no use here: there is nowhere left
// to tell it.
func (e *env) say(format string, args ...any) {
	e.print("instarfs: " + show.Line(fmt.Sprintf(format, args...)) + "\n")
}

// print prints text of any number of lines. All talk goes through it; only names within the text
// need be escaped before, so that they add no lines.
func (e *env) print(text string) { _, _ = io.WriteString(e.stderr, show.Lines(text)) }

func rootCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "instarfs",
		Short: "Show the allocation maps of disk images as files",
		Long: "instarfs shows which parts of a disk image hold data, as qemu-img map does, but " +
			"as files of a mount. Images are\n" +
			"parsed in a small virtual machine, so that one made to attack its reader gets hold " +
			"of nothing." +
			exitHelp("done", "failed; one line on standard error says why"),
		Version:           moduleVersion(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return ending.Usagef("unknown command '%s' (see 'instarfs --help')",
					args[0])
			}
			return ending.Usage{Err: errors.New("a command is missing (see 'instarfs --help')")}
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		var value options.ValueError
		if errors.As(err, &value) {
			err = value // without what pflag says around it
		}
		return ending.Usagef("%s%w (see '%s --help')", prefix(c), err, c.CommandPath())
	})
	cmd.AddCommand(mapCommand(e), mountCommand(e), statusCommand(e), doctorCommand(e),
		versionCommand(e))
	return cmd
}

// directories completes operands that are directories.
func directories(
	*cobra.Command, []string, string,
) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// expect makes a command refuse any number of operands but the given ones.
func expect(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		want := "no operands"
		if len(names) > 0 {
			want = strings.Join(names, " and ")
		}
		return ending.Usagef("%sexpecting %s, got %d (see '%s --help')", prefix(c), want,
			len(args), c.CommandPath())
	}
}

// prefix names the command that an error is about.
func prefix(c *cobra.Command) string {
	if !c.HasParent() {
		return ""
	}
	return c.Name() + ": "
}

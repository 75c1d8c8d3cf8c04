package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"instarfs/cmd/instarfs/options"
	"instarfs/guest/show"
)

func versionCommand(e *env) *cobra.Command {
	verbose := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of the program and of the guest in it",
		Long: "Print the version of the program, the SHA-256 of the map guest in it, and the Go " +
			"release that built it. " +
			"With -v, also what can carry its runs here." +
			exitHelp("done", "the output could not be written"),
		Args: expect(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := versionText(e)
			if err != nil {
				return fmt.Errorf("version: %w", err)
			}
			if verbose {
				text += carrierText(cmd.Context(), e)
			}
			if _, err := io.WriteString(e.stdout, text); err != nil {
				return fmt.Errorf("version: write to standard output: %w", err)
			}
			return nil
		},
	}
	options.AddFlags(cmd, []options.Option{{Short: 'v', Long: "verbose",
		Set: options.Bool(&verbose), Help: "also say what can carry runs of the guest"}})
	return cmd
}

func versionText(e *env) (string, error) {
	guest := "not built in (run make)"
	if p, err := e.payload(); err == nil {
		sum := sha256.New()
		if _, err := io.Copy(sum, p); err != nil {
			return "", fmt.Errorf("read the map guest: %w", err)
		}
		guest = fmt.Sprintf("sha256:%x", sum.Sum(nil))
	}
	return fmt.Sprintf("instarfs %s\nguest %s\n%s %s/%s\n", moduleVersion(), guest,
		runtime.Version(),
		runtime.GOOS, runtime.GOARCH), nil
}

// carrierText says what can carry runs, and what auto is.
func carrierText(ctx context.Context, e *env) string {
	var b strings.Builder
	for _, f := range e.findCarriers(ctx, false) {
		note := f.note
		if f.err != nil {
			note = show.Line(f.err.Error())
		}
		fmt.Fprintln(&b, strings.TrimRight(f.name+" "+f.verdict()+" "+note, " "))
	}
	return b.String()
}

// version is what make found out with git describe; the linker sets it.
var version string

// moduleVersion is version, or what go install and go build noted: the version of the module, or
// the commit.
func moduleVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	module := info.Main.Version
	if module != "" && module != "(devel)" {
		return module
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "(devel)"
}

package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of the program and of the guest in it",
		Long:  "Print the version of the program, the SHA-256 of the map guest in it, and the Go release that built it." + exitHelp("done", "the output could not be written"),
		Args:  expect(),
		RunE: func(*cobra.Command, []string) error {
			guest := "not built in (run make)"
			if p, err := e.payload(); err == nil {
				sum := sha256.New()
				if _, err := io.Copy(sum, p); err != nil {
					return fmt.Errorf("version: read the map guest: %w", err)
				}
				guest = fmt.Sprintf("sha256:%x", sum.Sum(nil))
			}
			_, err := fmt.Fprintf(e.stdout, "instarfs %s\nguest %s\n%s %s/%s\n", moduleVersion(), guest, runtime.Version(),
				runtime.GOOS, runtime.GOARCH)
			if err != nil {
				return fmt.Errorf("version: write to standard output: %w", err)
			}
			return nil
		},
	}
}

// version is what make found out with git describe; the linker sets it.
var version string

// moduleVersion is version, or what go install and go build noted: the version of the module, or the commit.
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

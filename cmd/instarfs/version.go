package main

import (
	"crypto/sha256"
	"fmt"
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
				guest = fmt.Sprintf("sha256:%x", sha256.Sum256(p))
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

// moduleVersion is the version of the module if it was built by its version, and else the commit that it was built from, as
// far as the builder noted it.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (version == "" || version == "(devel)") {
			return s.Value
		}
	}
	if version == "" {
		return "(devel)"
	}
	return version
}

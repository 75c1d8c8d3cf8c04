//go:build manual

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"instarfs/cmd/instarfs/manual"
)

// main, with the tag manual, is the program that make builds and runs for the manual pages and the
// completions of shells: it writes them into a directory.
func main() {
	if err := writeManual(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func writeManual(dir string) error {
	root := rootCommand(wire())
	man := filepath.Join(dir, "man")
	shells := filepath.Join(dir, "completions")
	for _, d := range []string{man, shells} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, p := range manual.Pages(root, moduleVersion()) {
		if err := os.WriteFile(filepath.Join(man, p.Name), p.Text, 0o644); err != nil {
			return err
		}
	}
	return errors.Join(
		root.GenBashCompletionFileV2(filepath.Join(shells, "instarfs.bash"), true),
		root.GenZshCompletionFile(filepath.Join(shells, "_instarfs")),
		root.GenFishCompletionFile(filepath.Join(shells, "instarfs.fish"), true))
}

// Command bench compares instarfs with the installed qemu-img on this machine, in one run, and
// writes the results as Markdown: `make bench`. Only the ratios matter; the times are those of
// one machine, which may be busy.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	binary := flag.String("instarfs", "bin/instarfs", "the program to measure")
	output := flag.String("o", "", "write the table to this `FILE` too")
	quick := flag.Bool("quick", false, "a tenth of everything, to see that it works")
	flag.Parse()
	if err := run(*binary, *output, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "bench: FAILED:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "bench: all measured")
}

func run(binary, output string, quick bool) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "instarfs-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &bench{binary: binary, work: work, scale: 1, report: newReport()}
	if quick {
		b.scale = 10
	}
	for _, carrier := range carriers() {
		b.carrier = carrier
		for _, step := range []func() error{b.small, b.large} {
			if err := step(); err != nil {
				return err
			}
		}
	}
	b.carrier = "auto"
	for _, step := range []func() error{b.listing, b.overlays} {
		if err := step(); err != nil {
			return err
		}
	}
	text := b.report.markdown()
	fmt.Print(text)
	if output == "" {
		return nil
	}
	return os.WriteFile(output, []byte(text), 0o644)
}

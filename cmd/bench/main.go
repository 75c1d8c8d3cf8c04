// Command bench measures what docs/benchmarks.md promises, against the installed qemu-img and in
// one run: `make bench`. Only ratios matter; the times are those of one machine, which may be busy.
// It fails if a goal is missed.
//
// Its files, from the bottom up:
//
//	measure.go   commands and reads with their times, mounts
//	goals.go     what must be reached
//	report.go    what was reached, as Markdown
//	images.go    the images
//	warm.go      memory of the machine, made ready
//	small.go     lines e1, e2, e3 and a
//	large.go     lines b, c and f
//	listing.go   lines d and h
//	overlays.go  line g
//	formats.go   lines i and j
//	memory.go    line m
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	binary := flag.String("instarfs", "bin/instarfs", "the program to measure")
	output := flag.String("o", "", "write the tables to this `FILE` too")
	quick := flag.Bool("quick", false, "a tenth of everything, to see that it works; no verdict")
	flag.Parse()
	err := run(*binary, *output, *quick)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: FAILED:", err)
		os.Exit(1)
	}
	if !*quick {
		fmt.Fprintln(os.Stderr, "bench: all goals are reached")
	}
}

// bench is one run of all measurements.
type bench struct {
	binary  string // of instarfs
	work    string // a directory that is removed at the end
	carrier string // value of --isolation of what is measured now
	scale   int    // divides the amounts
	report  *report
}

var errShort = errors.New("goals are missed")

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
	// Not the user's own: the first map must find nothing.
	if err := os.Setenv("XDG_CACHE_HOME", filepath.Join(work, "cache")); err != nil {
		return err
	}
	b := &bench{binary: binary, work: work, scale: 1, report: &report{}}
	if quick {
		b.scale = 10
	}
	if err := b.all(); err != nil {
		return err
	}
	text := b.report.markdown()
	fmt.Print(text)
	if output != "" {
		if err := os.WriteFile(output, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if !quick && b.report.short() {
		return errShort
	}
	return nil
}

// all measures all lines, those of the guest over each carrier.
func (b *bench) all() error {
	if err := b.warm(); err != nil {
		return err
	}
	for _, b.carrier = range carriers() {
		for _, step := range []func() error{b.small, b.large, b.listing} {
			if err := step(); err != nil {
				return fmt.Errorf("%s: %w", b.carrier, err)
			}
		}
	}
	b.carrier = carriers()[0]
	for _, step := range []func() error{b.overlays, b.window, b.formats, b.memory} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"instarfs/cmd/instarfs/devices"
	"instarfs/cmd/instarfs/guests"
	"instarfs/cmd/instarfs/options"
	"instarfs/guest/img"
	"instarfs/guest/show"
)

// doctorTimeout bounds the test run, which takes a few milliseconds on a machine that is well.
const doctorTimeout = 20 * time.Second

func doctorCommand(e *env) *cobra.Command {
	var warm bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this machine can run instarfs, and say what to do if not",
		Long: "Check whether KVM or confined processes, and FUSE, are usable, by starting the " +
			"map guest on a small image, " +
			"and say what to do if not." +
			exitHelp("all is well", "something is missing"),
		Args: expect(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDoctor(cmd.Context(), e, warm)
		},
	}
	options.AddFlags(cmd, []options.Option{{Long: "warm", Set: options.Bool(&warm),
		Help: "keep the started guest for this user's other processes, as their first map would"}})
	return cmd
}

// finding is what became of one check. Its error says what to do.
type finding struct {
	name string
	note string
	err  error
	// spare is a check that may fail, because another one found what does in its place.
	spare bool
}

// verdict is the word for a finding.
func (f finding) verdict() string {
	switch {
	case f.err == nil:
		return "ok"
	case f.spare:
		return "no"
	}
	return "FAILED"
}

func runDoctor(ctx context.Context, e *env, warm bool) error {
	_, guest := e.payload()
	findings := []finding{{name: "guest", err: guest}}
	findings = append(findings, e.findCarriers(ctx, warm)...)
	if ctx.Err() != nil {
		return fmt.Errorf("doctor: %w", context.Cause(ctx))
	}
	findings = append(findings, finding{name: "fuse", err: e.checkFUSE()},
		finding{name: "openat2", err: e.checkOpen()})
	if !e.root {
		findings = append(findings, finding{name: "fusermount3", err: devices.FindFusermount()})
	}
	failed := 0
	for _, f := range findings {
		note := f.note
		if f.err != nil {
			note = show.Line(f.err.Error())
		}
		if f.verdict() == "FAILED" {
			failed++
		}
		line := strings.TrimRight(fmt.Sprintf("%-12s%-7s%s", f.name, f.verdict(), note), " ")
		if _, err := fmt.Fprintln(e.stdout, line); err != nil {
			return fmt.Errorf("doctor: write to standard output: %w", err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("doctor: %d of %d checks failed", failed, len(findings))
	}
	return nil
}

// findCarriers tries what can carry a run. One carrier is enough.
func (e *env) findCarriers(ctx context.Context, warm bool) (list []finding) {
	machine, cache := finding{name: "kvm", err: e.checkKVM()}, finding{name: "guest cache"}
	if machine.err == nil {
		o := sharedOptions{Isolation: guests.KVM, Cache: guests.Cache{Off: !warm,
			Log: func(line string) { cache.err = errors.Join(cache.err, errors.New(line)) }}}
		machine.err = e.testRun(ctx, o)
	}
	process := finding{name: "process"}
	missing := ""
	if missing, process.err = e.checkProcess(ctx); process.err == nil {
		process.err = e.testRun(ctx, sharedOptions{Isolation: guests.Process})
	}
	if missing != "" {
		process.note = "confined without: " + missing
	}
	machine.spare, process.spare = process.err == nil, machine.err == nil
	list = []finding{machine, process}
	switch {
	case machine.err == nil:
		list = append(list, finding{name: "isolation", note: "auto is kvm"})
	case process.err == nil:
		list = append(list, finding{name: "isolation", note: "auto is process"})
	}
	if warm && machine.err == nil {
		cache.note = guests.CacheDir()
		list = append(list, cache)
	}
	return list
}

// testRun maps a small raw image, which takes all that a map takes.
func (e *env) testRun(ctx context.Context, o sharedOptions) error {
	dir, err := os.MkdirTemp("", "instarfs-doctor-")
	if err != nil {
		return fmt.Errorf("make a directory for a test image: %w (is TMPDIR writable?)", err)
	}
	defer os.RemoveAll(dir)
	const size = 4096
	name := filepath.Join(dir, "test.raw")
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		return fmt.Errorf("make a test image: %w", err)
	}
	eng, err := e.newEngine(o)
	if err != nil {
		return err
	}
	defer eng.Close()
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	res, err := eng.Map(ctx, name, mapOptions{Format: "raw", Window: img.Whole, SectorSize: 65536})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the map guest does not finish within %v", doctorTimeout)
	case err != nil:
		return err
	case res.VirtualSize != size:
		return fmt.Errorf("the map guest says that an image of %d bytes has %d", size,
			res.VirtualSize)
	}
	return nil
}

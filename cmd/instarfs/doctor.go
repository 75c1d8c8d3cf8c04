package main

import (
	"context"
	"errors"
	"fmt"
	"instarfs/guest/img"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"instarfs/guest/show"
)

// doctorTimeout bounds the test run, which takes a few milliseconds on a machine that is well.
const doctorTimeout = 20 * time.Second

func doctorCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this machine can run instarfs, and say what to do if not",
		Long: "Check whether KVM and FUSE are usable, by starting the map guest on a small image, and say what to do if not." +
			exitHelp("all is well", "something is missing"),
		Args: expect(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), e) },
	}
}

// check is one thing that must be well. Its error says what to do.
type check struct {
	name string
	run  func(ctx context.Context) error
}

func runDoctor(ctx context.Context, e *env) error {
	checks := []check{
		{"guest", func(context.Context) error { _, err := e.payload(); return err }},
		{"kvm", func(context.Context) error { return e.checkKVM() }},
		{"map", e.testRun},
		{"fuse", func(context.Context) error { return e.checkFUSE() }},
		{"openat2", func(context.Context) error { return e.checkOpen() }},
	}
	if !e.root {
		checks = append(checks, check{"fusermount3", func(context.Context) error { return findFusermount() }})
	}
	failed := 0
	for _, c := range checks {
		verdict, why := "ok", ""
		if err := c.run(ctx); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("doctor: %w", context.Cause(ctx))
			}
			verdict, why = "FAILED", show.Line(err.Error())
			failed++
		}
		line := strings.TrimRight(fmt.Sprintf("%-12s%-7s%s", c.name, verdict, why), " ")
		if _, err := fmt.Fprintln(e.stdout, line); err != nil {
			return fmt.Errorf("doctor: write to standard output: %w", err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("doctor: %d of %d checks failed", failed, len(checks))
	}
	return nil
}

// testRun maps a small raw image, which takes all that a map takes.
func (e *env) testRun(ctx context.Context) error {
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
	eng, err := e.newEngine(accessOptions{}, limitOptions{})
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
		return fmt.Errorf("the map guest says that an image of %d bytes has %d", size, res.VirtualSize)
	}
	return nil
}

func findFusermount() error {
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return errors.New("fusermount3, which mounts for users other than root, is not found: install the package fuse3")
	}
	return nil
}

// openDevice checks that a device can be opened, and words why not.
func openDevice(name, missing, forbidden string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s does not exist: %s", name, missing)
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("%s is not allowed here: give it to the container (--device %s) or to the "+
			"service (DeviceAllow=%s rw)", name, name, name)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no permission to open %s: %s", name, forbidden)
	case err != nil:
		return err
	}
	return f.Close()
}

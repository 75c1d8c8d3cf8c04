package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"instarfs/guest/extent"
)

// fakeEngine answers for file names: a fixed result, an error, or a hole of 1 MiB.
type fakeEngine struct {
	results map[string]*mapResult
	errs    map[string]error
	asked   mapOptions // of the last call
	name    string
	block   bool // wait for the end of the context
	closed  bool
}

// fakeSize is the size of the images that have no result of their own.
const fakeSize = 1 << 20

func (f *fakeEngine) Map(ctx context.Context, name string, o mapOptions) (*mapResult, error) {
	f.asked, f.name = o, name
	if f.block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := f.errs[name]; err != nil {
		return nil, err
	}
	if r := f.results[name]; r != nil {
		return r, nil
	}
	end := min(o.End, fakeSize)
	if o.Start >= end {
		end = o.Start
	}
	b := extent.NewBuilder(o.Start, end, 0)
	if end > o.Start {
		err := b.Add(extent.Extent{Start: o.Start, Length: end - o.Start, Offset: o.Start,
			State: extent.State{Flags: extent.Present | extent.Zero | extent.Offset}})
		if err != nil {
			return nil, err
		}
	}
	m, err := b.Finish([]string{name})
	return &mapResult{Map: m, VirtualSize: fakeSize, Format: "raw"}, err
}

func (f *fakeEngine) Close() error {
	f.closed = true
	return nil
}

// openError is an error that qemu-img has words for.
type openError struct {
	text, qemu string
	stderr     []string
}

func (e openError) Error() string        { return e.text }
func (e openError) QemuText() string     { return e.qemu }
func (e openError) QemuStderr() []string { return e.stderr }

// fakeMount is a mount that is over at once, or when the context ends.
type fakeMount struct {
	asked mountOptions
	err   error
	wait  bool
}

func (f *fakeMount) Serve(ctx context.Context) error {
	f.asked.Log("served \x1b")
	if f.wait {
		<-ctx.Done()
	}
	return f.err
}

func (f *fakeMount) Abort() error { return nil }

// tool is the program with fakes around it.
type tool struct {
	env
	engine         fakeEngine
	mount          fakeMount
	stdout, stderr bytes.Buffer
}

func newTool() *tool {
	t := &tool{}
	t.env = env{
		stdout: &t.stdout,
		stderr: &t.stderr,
		root:   true,

		newEngine: func(accessOptions) (engine, error) { return &t.engine, nil },
		newMount: func(o mountOptions) (mounted, error) {
			t.mount.asked = o
			return &t.mount, nil
		},
		payload:   func() (*io.SectionReader, error) { return io.NewSectionReader(strings.NewReader("guest"), 0, 5), nil },
		checkKVM:  func() error { return nil },
		checkFUSE: func() error { return nil },
		checkOpen: func() error { return nil },
	}
	return t
}

func (t *tool) run(args ...string) int { return run(context.Background(), args, &t.env) }

// expectRun runs a command line and compares all that it says.
func expectRun(t *testing.T, tool *tool, args []string, code int, stdout, stderr string) {
	t.Helper()
	tool.stdout.Reset()
	tool.stderr.Reset()
	if got := tool.run(args...); got != code || tool.stdout.String() != stdout || tool.stderr.String() != stderr {
		t.Errorf("instarfs %q: exit %d, want %d\nstdout %q\n  want %q\nstderr %q\n  want %q", args, got, code,
			tool.stdout.String(), stdout, tool.stderr.String(), stderr)
	}
}

// oracle is the installed qemu-img, run in a directory with a.raw, a hole of fakeSize bytes.
type oracle struct{ dir string }

const oracleVersion = "7.2"

func newOracle(t *testing.T) *oracle {
	t.Helper()
	out, err := exec.Command("qemu-img", "--version").Output()
	if err != nil {
		t.Fatalf("%v (install the package qemu-utils)", err)
	}
	if !strings.HasPrefix(string(out), "qemu-img version "+oracleVersion+".") {
		t.Fatalf("the tests compare with qemu-img %s, installed is %.40s", oracleVersion, out)
	}
	o := &oracle{t.TempDir()}
	f, err := os.Create(o.dir + "/a.raw")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(fakeSize), f.Close()); err != nil {
		t.Fatal(err)
	}
	return o
}

// compare runs map with a command line, NUL between its words, by qemu-img and with a fake engine.
func (o *oracle) compare(t *testing.T, line string) {
	t.Helper()
	o.compareWith(t, newTool(), line)
}

var (
	// missingModule is what qemu-img prints where a distribution packs a part of its driver for dmg on its own.
	missingModule = regexp.MustCompile(`(?m)^qemu: module block-block-dmg-.* not found.*\n`)
	// lostWarning are warnings that we do not give when the image then cannot be opened.
	lostWarning = regexp.MustCompile(`(?m)^(?:instarfs: warning: .* will result in I/O errors\n)+((?:.*\n)?instarfs: Could not open)`)
)

// compareWith is compare with any engine.
func (o *oracle) compareWith(t *testing.T, ours *tool, line string) {
	t.Helper()
	args := strings.Split(line, "\x00")
	if line == "" {
		args = nil
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("qemu-img", append([]string{"map"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = o.dir, &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(stderr.String(), "qemu-img: ", "instarfs: ")
	want = lostWarning.ReplaceAllString(missingModule.ReplaceAllString(want, ""), "$1")
	status := cmd.ProcessState.ExitCode()
	if w, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		status = 128 + int(w.Signal())
	}
	expectRun(t, ours, append([]string{"map", "--qemu-version", oracleVersion}, args...), status,
		stdout.String(), want)
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
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
	w := o.Window.Clip(fakeSize)
	b := extent.NewBuilder(w.Start, w.End, 0)
	if !w.Empty() {
		err := b.Add(extent.Extent{Start: w.Start, Length: w.Len(), Offset: w.Start,
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
	last           func(syscall.Signal) // what env.leave was given
}

func newTool() *tool {
	t := &tool{}
	t.env = env{
		stdout: &t.stdout,
		stderr: &t.stderr,
		root:   true,
		leave:  func(last func(syscall.Signal)) { t.last = last },

		newEngine: func(sharedOptions) (engine, error) { return &t.engine, nil },
		newMount: func(o mountOptions) (mounted, error) {
			t.mount.asked = o
			return &t.mount, nil
		},
		payload: func() (*io.SectionReader,
			error) {
			return io.NewSectionReader(strings.NewReader("guest"), 0, 5), nil
		},
		checkKVM:     func() error { return nil },
		checkProcess: func(context.Context) (string, error) { return "", nil },
		checkFUSE:    func() error { return nil },
		mayHold:      func(string) bool { return false }, checkOpen: func() error { return nil },
	}
	return t
}

func (t *tool) run(args ...string) int { return run(context.Background(), args, &t.env) }

// expectRun runs a command line and compares all that it says.
func expectRun(t *testing.T, tool *tool, args []string, code int, stdout, stderr string) {
	t.Helper()
	asItIs := func(s string) string { return s }
	want := answer{stdout: stdout, stderr: stderr, status: code}
	if err := tool.says(args, want, asItIs); err != nil {
		t.Error(err)
	}
}

// says runs a command line and compares all that comes of it, standard error as change makes it.
func (t *tool) says(args []string, want answer, change func(string) string) error {
	t.stdout.Reset()
	t.stderr.Reset()
	status := t.run(args...)
	stdout, stderr := t.stdout.String(), change(t.stderr.String())
	if status == want.status && stdout == want.stdout && stderr == want.stderr {
		return nil
	}
	return fmt.Errorf("instarfs %q: exit %d, want %d\nstdout %q\n  want %q\nstderr %q\n  want %q",
		args, status, want.status, stdout, want.stdout, stderr, want.stderr)
}

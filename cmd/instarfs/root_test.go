package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"instarfs/cmd/instarfs/guests"
	"instarfs/cmd/instarfs/process"
)

func TestRootMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"":          "a command is missing (see 'instarfs --help')",
		"bogus a":   "unknown command 'bogus' (see 'instarfs --help')",
		"--bogus":   "unknown flag: --bogus (see 'instarfs --help')",
		"version a": "version: expecting no operands, got 1 (see 'instarfs version --help')",
		"doctor a":  "doctor: expecting no operands, got 1 (see 'instarfs doctor --help')",
		"doctor -x": "doctor: unknown shorthand flag: 'x' in -x (see 'instarfs doctor --help')",
	} {
		expectRun(t, newTool(), strings.Fields(line), 2, "", "instarfs: "+want+"\n")
	}
}

func TestEveryHelpTellsExitStatuses(t *testing.T) {
	for _, c := range rootCommand(&newTool().env).Commands() {
		tool := newTool()
		if code := tool.run(c.Name(), "--help"); code != 0 ||
			!strings.Contains(tool.stdout.String(), "Exit status:\n    0  ") && c.Name() != "help" {
			t.Errorf("%s --help: exit %d\n%s", c.Name(), code, tool.stdout.String())
		}
	}
}

func TestVersion(t *testing.T) {
	tool := newTool()
	if code := tool.run("version"); code != 0 {
		t.Fatal(code)
	}
	lines := strings.Split(tool.stdout.String(), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "instarfs ") ||
		lines[1] != "guest sha256:84983c60f7daadc1cb8698621f802c0d"+
			"9f9a3c3c295c810748fb048115c186ec" ||
		!strings.HasPrefix(lines[2], "go1.") {
		t.Errorf("%q", lines)
	}
	tool.payload = func() (*io.SectionReader, error) { return nil, errors.New("none") }
	tool.stdout.Reset()
	if code := tool.run("version"); code != 0 ||
		!strings.Contains(tool.stdout.String(), "\nguest not built in (run make)\n") {
		t.Errorf("exit %d: %s", code, tool.stdout.String())
	}
	tool.stdout.Reset()
	tool.newEngine = func(sharedOptions) (engine, error) { return sizedEngine{}, nil }
	tool.checkKVM = func() error { return errors.New("no /dev/kvm") }
	const carriers = "\nkvm no no /dev/kvm\nprocess ok\nisolation ok auto is process\n"
	if code := tool.run("version", "-v"); code != 0 ||
		!strings.HasSuffix(tool.stdout.String(), carriers) {
		t.Errorf("exit %d: %s", code, tool.stdout.String())
	}
	tool.env.stdout = broken{io.ErrClosedPipe}
	expectRun(t, tool, []string{"version"}, 1, "",
		"instarfs: version: write to standard output: io: read/write on closed pipe\n")
}

func TestDoctor(t *testing.T) {
	const well = "guest       ok\nkvm         ok\nprocess     ok\nisolation   ok     auto is " +
		"kvm\nfuse        ok\nopenat2     ok\n"
	sized := func(sharedOptions) (engine, error) { return sizedEngine{}, nil }
	tool := newTool()
	tool.newEngine = sized
	expectRun(t, tool, []string{"doctor"}, 0, well, "")

	tool.checkProcess = func(context.Context) (string, error) { return "Landlock", nil }
	expectRun(t, tool, []string{"doctor"}, 0,
		strings.Replace(well, "process     ok", "process     ok     confined without: Landlock", 1),
		"")

	tool = newTool()
	tool.newEngine = sized
	tool.checkKVM = func() error { return errors.New("no /dev/kvm: load the module") }
	expectRun(t, tool, []string{"doctor"}, 0, strings.NewReplacer(
		"kvm         ok", "kvm         no     no /dev/kvm: load the module", "auto is kvm",
		"auto is process").Replace(well), "")

	tool.checkProcess = func(context.Context) (string, error) {
		return "",
			errors.New("no seccomp: use another kernel")
	}
	expectRun(t, tool, []string{"doctor"}, 1,
		"guest       ok\nkvm         FAILED no /dev/kvm: load the module\n"+
			"process     FAILED no seccomp: use another kernel\nfuse        ok\nopenat2     ok\n",
		"instarfs: doctor: 2 of 5 checks failed\n")

	tool = newTool()
	tool.newEngine = func(o sharedOptions) (engine, error) {
		if o.Isolation == guests.Process {
			return sizedEngine{}, nil
		}
		return &tool.engine, nil
	}
	expectRun(t, tool, []string{"doctor"}, 0, strings.NewReplacer("kvm         ok",
		"kvm         no     the map guest says that an image of 4096 bytes has 1048576",
		"auto is kvm", "auto is process").Replace(well), "")

	t.Setenv("PATH", "/nowhere")
	tool.newEngine = sized
	tool.root = false
	expectRun(t, tool, []string{"doctor"}, 1, well+
		"fusermount3 FAILED fusermount3, which mounts for users other than root, "+
		"is not found: install the package fuse3\n", "instarfs: doctor: 1 of 7 checks failed\n")
	t.Setenv("TMPDIR", "/nowhere")
	tool.run("doctor")
	if !strings.Contains(tool.stdout.String(),
		"process     FAILED make a directory for a test image: ") {
		t.Error(tool.stdout.String())
	}
}

func TestDoctorInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(process.SignalError{Signal: 15})
	tool := newTool()
	tool.engine.block = true
	if code := run(ctx, []string{"doctor"}, &tool.env); code != 143 {
		t.Errorf("exit %d: %s", code, tool.stderr.String())
	}
}

// sizedEngine maps nothing but tells the right size.
type sizedEngine struct{}

func (sizedEngine) Map(_ context.Context, name string, _ mapOptions) (*mapResult, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	return &mapResult{VirtualSize: uint64(st.Size())}, nil
}

func (sizedEngine) Close() error { return nil }

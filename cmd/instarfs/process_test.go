package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"instarfs/mountinfo"
)

// asChild tells the test binary to be the program on the command line that follows: real, or with
// fakes around it.
const (
	asChild   = "INSTARFS_TEST_CHILD"
	realChild = "real"
	fakeChild = "fake"
	// walkedChild is the real one without KVM.
	walkedChild = "walked"
)

func TestMain(m *testing.M) {
	if list := os.Getenv(denied); list != "" {
		deny(list)
	}
	chooseIsolation()
	switch os.Getenv(asChild) {
	case realChild:
		os.Args = append(os.Args[:1:1], withIsolation(os.Args[1:])...)
		main()
	case walkedChild:
		tool := walkedTool()
		tool.env.newMount = func(o mountOptions) (mounted, error) {
			return newMountOn(walkedGuests{}, o.Limits.Allow(), o)
		}
		tool.env.stdout, tool.env.stderr, tool.env.mayHold = os.Stdout, os.Stderr,
			mountinfo.ServedByProgram
		os.Exit(start(os.Args[1:], &tool.env))
	case holdingChild:
		if err := holdPathAndTell(os.Args[1]); err != nil {
			log.Fatal(err)
		}
		os.Exit(0)
	case fakeChild:
		tool := newTool()
		tool.env.stdout, tool.env.stderr = os.Stdout, os.Stderr
		tool.env.newMount = func(mountOptions) (mounted, error) { return stuckMount{}, nil }
		os.Exit(start(os.Args[1:], &tool.env))
	}
	if signal.Ignored(syscall.SIGHUP) { // by nohup(1); children would ignore it too
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	cache, err := os.MkdirTemp("", "instarfs-test-cache-")
	if err != nil {
		log.Fatal(err)
	}
	os.Setenv("XDG_CACHE_HOME", cache) // not the tester's own
	status := m.Run()
	_ = os.RemoveAll(cache)
	if serverDir != "" {
		_ = os.RemoveAll(serverDir)
	}
	os.Exit(status)
}

// stuckMount is busy: it does not end when its context does.
type stuckMount struct{}

func (stuckMount) Serve(ctx context.Context) error {
	<-ctx.Done()
	_, _ = io.WriteString(os.Stderr, "busy\n")
	select {}
}

func (stuckMount) Abort() error {
	_, err := io.WriteString(os.Stderr, "detached\n")
	return err
}

func child(kind string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	// Under the race detector a process sleeps for a second before it ends.
	cmd.Env = append(os.Environ(), asChild+"="+kind, "GORACE="+os.Getenv("GORACE")+
		" atexit_sleep_ms=10")
	return cmd
}

func TestSecondSignalLeavesAtOnce(t *testing.T) {
	cmd := child(fakeChild, "mount", "/images", "/mnt")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		said = append(said, lines.Text())
		if len(said) <= 2 {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	want := "instarfs: mounted /images at /mnt; stop with Ctrl-C or: fusermount3 -u " +
		"/mnt|busy|detached"
	if got := strings.Join(said, "|"); cmd.ProcessState.ExitCode() != 143 || got != want {
		t.Errorf("exit %d, said %q, want 143, %q", cmd.ProcessState.ExitCode(), got, want)
	}
}

func TestReaderThatLeaves(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
	}{
		{[]string{"map", "a.raw"}, 1},
		{[]string{"map", "--qemu-version=7.2", "a.raw"}, 0},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		var stderr bytes.Buffer
		cmd := child(fakeChild, tc.args...)
		cmd.Stdout, cmd.Stderr = w, &stderr
		_ = cmd.Run()
		w.Close()
		if cmd.ProcessState.ExitCode() != tc.code || stderr.Len() > 0 {
			t.Errorf("%q: %v, stderr %q", tc.args, cmd.ProcessState, stderr.String())
		}
	}
}

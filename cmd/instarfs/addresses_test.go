package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/cmd/instarfs/guests"
	"instarfs/needs"
)

// linked builds the program as the Makefile does, with its own first code.
func linked(t *testing.T) string {
	t.Helper()
	const entry = "-E main.entry"
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil || !strings.Contains(string(makefile), entry) {
		t.Fatalf("the Makefile does not link with %s: %v", entry, err)
	}
	program := filepath.Join(t.TempDir(), "instarfs")
	build := exec.Command("go", "build", "-ldflags="+entry, "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	return program
}

// limited is a command under a limit of its address space, bytes.
func limited(bytes uint64, program string, args ...string) *exec.Cmd {
	return exec.Command("prlimit",
		append([]string{fmt.Sprintf("--as=%d", bytes), program}, args...)...)
}

// Under a limit of the address space the program works, or says in one line that it cannot; it
// never depends on chance.
func TestAddressSpaceLimits(t *testing.T) {
	needs.KVM(t)
	program, source := linked(t), smallSource(t)
	image := filepath.Join(source, "a.qcow2")
	const mib = 1 << 20
	for limit, works := range map[uint64]bool{
		256 * mib: false, 512 * mib: false, 700 * mib: false, leastAddresses - 1: false,
		leastAddresses: true, 1000 * mib: true, fewAddresses: true, fewAddresses + 1: true,
		1100 * mib: true, 1200000000: true,
		1300 * mib: true, manyAddresses - 1: true, manyAddresses: true, 2048 * mib: true,
		8192 * mib: true,
	} {
		for range 5 {
			cmd := limited(limit, program, "map", image)
			var said strings.Builder
			cmd.Stderr = &said
			out, err := cmd.Output()
			switch {
			case works && limit > fewAddresses && limit < manyAddresses &&
				testIsolation(t) == guests.Process:
				// The Go runtime of a guest may not start, and nothing comes before it there.
				if err != nil && !strings.Contains(said.String(), "(ulimit -v)") {
					t.Errorf("limit of %d MiB: %v, says %.200s", limit>>20, err, said.String())
				}
			case works && (err != nil || len(out) == 0 || said.Len() > 0):
				t.Errorf("limit of %d MiB: %v, %d bytes, says %.200s", limit>>20, err, len(out),
					said.String())
			case !works && (cmd.ProcessState.ExitCode() != 1 || said.String() != tooFewAddresses):
				t.Errorf("limit of %d MiB: %v, says %.200s", limit>>20, cmd.ProcessState,
					said.String())
			}
		}
	}
	for _, limit := range []uint64{fewAddresses, 1200000000} {
		if limit > fewAddresses && testIsolation(t) == guests.Process {
			continue
		}
		dir := t.TempDir()
		s := serveBy(t, limited(limit, program, "mount", source, dir), source, dir)
		if s.read("a.qcow2.map.json") == "" {
			t.Errorf("limit of %d MiB: an empty map", limit>>20)
		}
		var l unix.Rlimit
		if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_AS, nil, &l); err != nil ||
			l.Cur != limit {
			t.Errorf("the program runs under a limit of %d: %v, want %d", l.Cur, err, limit)
		}
	}
}

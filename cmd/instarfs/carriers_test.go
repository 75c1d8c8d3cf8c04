package main

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"

	"instarfs/cmd/instarfs/guests"
	"instarfs/cmd/instarfs/options"
	"instarfs/needs"
)

// isolationOfTests names the environment variable with what carries the runs of tests that do not
// say: a value of --isolation. Without it that is auto.
const isolationOfTests = "INSTARFS_TEST_ISOLATION"

// chooseIsolation makes guests of real programs processes where there is no KVM, without a line in
// every log that says so.
func chooseIsolation() {
	if _, err := os.Stat("/dev/kvm"); errors.Is(err, fs.ErrNotExist) &&
		os.Getenv(isolationOfTests) == "" {
		os.Setenv(isolationOfTests, "process")
	}
}

// testIsolation is what carries the runs of tests that do not say.
func testIsolation(t testing.TB) guests.Isolation {
	t.Helper()
	how := guests.Auto
	if s := os.Getenv(isolationOfTests); s != "" {
		if err := options.OneOf(&how, isolationChoices...)(s); err != nil {
			t.Fatalf("%s=%s: %v", isolationOfTests, s, err)
		}
	}
	return how
}

// withIsolation adds what the environment says to the command line of a real program that maps.
func withIsolation(args []string) []string {
	s := os.Getenv(isolationOfTests)
	if s == "" || len(args) == 0 || args[0] != "map" && args[0] != "mount" {
		return args
	}
	return slices.Insert(slices.Clone(args), 1, "--isolation="+s)
}

// eachCarrier runs f for every carrier. .ci/test leaves the subtests kvm out where there is none.
func eachCarrier(t *testing.T, f func(t *testing.T, how guests.Isolation)) {
	t.Helper()
	t.Run("kvm", func(t *testing.T) {
		needs.KVM(t)
		f(t, guests.KVM)
	})
	t.Run("process", func(t *testing.T) { f(t, guests.Process) })
}

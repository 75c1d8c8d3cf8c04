package formattest

import (
	"os/exec"
	"testing"
)

// Tool returns the path of a program of qemu. It fails the test if the program is not installed.
func Tool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Fatalf("%s is missing: install the package qemu-utils", name)
	}
	return path
}

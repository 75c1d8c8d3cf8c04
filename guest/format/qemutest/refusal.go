package qemutest

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"instarfs/guest/fault"
	"instarfs/needs"
)

// CompareRefusal compares what qemu-img map prints on standard error for dir/name with the words of
// f, or with those of warnings if f is nil.
func CompareRefusal(tb testing.TB, dir, name, format string, f *fault.Fault,
	warnings ...*fault.Fault) {
	tb.Helper()
	cmd := exec.Command(needs.QemuTool(tb, "qemu-img"), "map", "--output=json", "-f", format, name)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		tb.Fatal(err)
	}
	got := strings.ReplaceAll(stderr.String(), "qemu-img: ", "")
	want := ""
	for _, w := range warnings {
		want += w.QemuWarning()
	}
	if f != nil {
		want = strings.Join(f.QemuStderr(), "") +
			"Could not open '" + name + "': " + f.Told(name) + "\n"
	}
	if got != want {
		tb.Errorf("qemu-img prints %q, want %q", got, want)
	}
}

package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"instarfs/guest/fault"
	"instarfs/guest/show"
)

// No text of a stranger reaches a terminal as it is: not that of a command line, of an image, of a
// file system or of a guest, in no profile.
func TestTextOfStrangersIsEscaped(t *testing.T) {
	const hostile = "\u009b31m\u202e\x1b\xffX"
	warning := fault.Quoting(fault.Qcow2BitmapExists, 8, hostile)
	err := openError{"map x: " + hostile, "x: " + hostile, []string{"warning: " + hostile + "\n"}}
	for _, args := range [][]string{
		{hostile},
		{"--" + hostile},
		{"mount", "--" + hostile},
		{"mount", hostile, "/mnt"},
		{"mount", "/images", "/mnt" + hostile},
		{"mount", "-o", hostile, "a", "b"},
		{"mount", "--include", "[" + hostile, "a", "b"},
		{"mount", "--cache-bytes", hostile, "a", "b"},
		{"mount", "--references", hostile, "a", "b"},
		{"mount", "--qemu-version", hostile, "a", "b"},
		{"map", "--" + hostile, "a"},
		{"map", "-" + hostile, "a"},
		{"map", "-s", hostile, "a"},
		{"map", "--output", hostile, "a"},
		{"map", "--memory", hostile, "a"},
		{"map", "--call-time", hostile, "a"},
		{"map", "--depth", hostile, "a"},
		{"map", "--sector-size", hostile, "a"},
		{"map", "--reference-rights", hostile, "a"},
		{"map", "-s", "2M", "warned" + hostile},
		{"map", "refused" + hostile},
		{"map", "warned" + hostile},
		{"map", "ends" + hostile},
		{"map", hostile + ":a"},
		{"map", "-f", "", hostile},
	} {
		profiles := []string{""}
		if args[0] == "map" {
			profiles = []string{"", "7.2", "10.0", "11.1"}
		}
		for _, profile := range profiles {
			tool := newTool()
			tool.engine.errs = map[string]error{"refused" + hostile: err}
			tool.engine.results = map[string]*mapResult{
				"warned" + hostile: walk(t, nil, warning), "ends" +
					hostile: walk(t, fault.New(fault.NoSize, 1)),
			}
			tool.mount.err = errors.New("unmount: " + hostile)
			line := args
			if profile != "" {
				line = append([]string{"map", "--qemu-version", profile}, args[1:]...)
			}
			tool.run(line...)
			if got := tool.stderr.String(); show.Lines(got) != got {
				t.Errorf("%q prints %q", line, got)
			}
		}
	}
}

// What a mount logs and what a check of this machine finds are escaped too.
func TestTextOfMountAndDoctorIsEscaped(t *testing.T) {
	tool := newTool()
	expectRun(t, tool, []string{"mount", "/i\n\u009b", "/m"}, 0, "",
		`instarfs: mounted /i\x0a\xc2\x9b at /m; stop with Ctrl-C or: fusermount3 -u /m`+"\n"+
			`instarfs: served \x1b`+"\n")
	tool.payload = func() (*io.SectionReader, error) { return nil, errors.New("a\u009b") }
	tool.run("doctor")
	if got := tool.stdout.String(); !strings.Contains(got, `FAILED a\xc2\x9b`) {
		t.Errorf("doctor prints %q", got)
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFormatOf: a raw disk in which somebody wrote the header of another format is mapped as what
// it is, and nothing else changes.
func TestFormatOf(t *testing.T) {
	source := t.TempDir()
	for _, name := range []string{"disk.raw", "vm/disk.img", "disk.qcow2"} {
		writeAt(t, filepath.Join(source, name), map[int64]string{0: string(variant(1))})
	}
	probed := serve(t, source)
	fixed := serve(t, source, "--format-of", "*.raw=qcow2", "--format-of", "*.raw=raw",
		"-o", "format_of=vm/**=raw")
	same := probed.read("disk.qcow2.map.json")
	info, err := os.Stat(filepath.Join(source, "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"disk.raw", "vm/disk.img"} {
		if got := probed.read(name + ".map.json"); got != same {
			t.Errorf("%s, probed: %s", name, got)
		}
		got := fixed.read(name + ".map.json")
		var list []struct{ Start, Length int64 }
		if err := json.Unmarshal([]byte(got), &list); err != nil || len(list) == 0 {
			t.Fatalf("%s: %v, %s", name, err, got)
		}
		if last := list[len(list)-1]; last.Start+last.Length != info.Size() {
			t.Errorf("%s, fixed, is no disk of %d bytes: %s", name, info.Size(), got)
		}
	}
	if got := fixed.read("disk.qcow2.map.json"); got != same {
		t.Errorf("what no glob matches: %s", got)
	}
}

// TestUnmatchedGlobs: a glob that matches nothing, by a slip of the pen mostly, is told once.
func TestUnmatchedGlobs(t *testing.T) {
	source := smallSource(t)
	s := serve(t, source, "--include", "*.qcow3", "--include", "**/*.qcow2", "--format-of",
		"*.rwa=raw")
	want := []string{
		"instarfs: --include '*.qcow3' matches no file below " + source,
		"instarfs: --format-of '*.rwa=raw' matches no file below " + source,
	}
	await(t, "it is told", func() bool { return len(s.log()) >= len(want) })
	if got := strings.Join(s.log(), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("%s\nwant %s", got, strings.Join(want, "\n"))
	}
}

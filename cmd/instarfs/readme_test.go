package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"instarfs/cmd/instarfs/manual"
	"instarfs/needs"
)

// TestReadmeListsTheOptions: README has the table of all options that the help has, with -update
// written by this test.
func TestReadmeListsTheOptions(t *testing.T) {
	const name = "../../README.md"
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const begin = "## Options\n\n"
	before, rest, found := strings.Cut(string(b), begin)
	_, after, ends := strings.Cut(rest, "\n\n## ")
	if !found || !ends {
		t.Fatalf("README.md has no section %q, or nothing follows it", begin)
	}
	want := before + begin + manual.Table(rootCommand(&newTool().env)) + "\n## " + after
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if string(b) != want {
		t.Errorf("it differs: go test ./cmd/instarfs -run Readme -update writes it")
	}
}

// TestManual: each command has a page, with all its options, that groff has nothing to say against,
// and the page of the helper has the options of mount.
func TestManual(t *testing.T) {
	needs.Program(t, "groff", "groff-base")
	root := rootCommand(&newTool().env)
	pages := map[string]string{}
	for _, p := range manual.Pages(root, "v1") {
		cmd := exec.Command("groff", "-man", "-ww", "-Tutf8", "-P-cbou")
		cmd.Stdin = bytes.NewReader(p.Text)
		var said strings.Builder
		cmd.Stderr = &said
		text, err := cmd.Output()
		if err != nil || said.Len() > 0 {
			t.Errorf("%s: %v, %s", p.Name, err, said.String())
		}
		pages[p.Name] = string(text)
	}
	for _, cmd := range root.Commands() {
		page := pages["instarfs-"+cmd.Name()+".1"] + pages["instarfs-"+cmd.Name()+".8"]
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(page, "--"+f.Name) {
				t.Errorf("the page of %s has no option %s", cmd.Name(), f.Name)
			}
		})
		if !strings.Contains(pages["instarfs.1"], "instarfs-"+cmd.Name()+"(") {
			t.Errorf("instarfs(1) does not name %s", cmd.Name())
		}
	}
	for _, want := range []string{"cache_bytes=BYTES", "allow_other\n", "on_error=HOW",
		"fstab(5)"} {
		if !strings.Contains(pages["mount.instarfs.8"], want) {
			t.Errorf("mount.instarfs(8) has no %q:\n%s", want, pages["mount.instarfs.8"])
		}
	}
}

// TestReadmeListsTheCommands: README has a row for each.
func TestReadmeListsTheCommands(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	for _, cmd := range rootCommand(&newTool().env).Commands() {
		if !strings.Contains(readme, "\n| `instarfs "+cmd.Name()) {
			t.Errorf("README.md has no row for command %s", cmd.Name())
		}
	}
}

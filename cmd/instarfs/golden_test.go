package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"instarfs/needs"
)

// golden is a transcript in testdata/golden: what makes the files, and what map then prints of
// them.
type golden struct {
	setup   []string // lines for bash
	queries []query
}

// query is a call of map and all that comes of it: standard output, the lines of standard error,
// the exit status if it is not 0. profiles are the releases of qemu-img for which that holds, "own"
// is none.
type query struct {
	line     int // in its file, from 1
	profiles []string
	args     []string
	want     string
}

const noNewline = "(no newline)\n"

// parseGolden reads a transcript. testdata/golden/README.md tells what it looks like.
func parseGolden(t *testing.T, text string) golden {
	t.Helper()
	var g golden
	for i, line := range strings.SplitAfter(text, "\n") {
		before, command, isCommand := strings.Cut(strings.TrimSuffix(line, "\n"), "$ ")
		switch {
		case strings.HasPrefix(line, "# "), line == "\n", line == "":
		case isCommand && before == "":
			g.setup = append(g.setup, command)
		case isCommand && strings.HasPrefix(command, "instarfs map "):
			args := strings.Fields(strings.TrimPrefix(command, "instarfs "))
			g.queries = append(g.queries, query{i + 1, strings.Fields(before), args, ""})
		case len(g.queries) == 0:
			t.Fatalf("line %d: %q is the output of nothing", i+1, line)
		default:
			g.queries[len(g.queries)-1].want += line
		}
	}
	if len(g.queries) == 0 {
		t.Fatal("nothing is mapped")
	}
	return g
}

// transcript is what a call of map did, in the words of a golden file.
func transcript(tool *tool, args []string) string {
	tool.stdout.Reset()
	tool.stderr.Reset()
	code := tool.run(args...)
	out := tool.stdout.String()
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n" + noNewline
	}
	for line := range strings.Lines(tool.stderr.String()) {
		out += "stderr: " + line
	}
	if code != 0 {
		out += fmt.Sprintf("exit %d\n", code)
	}
	return out
}

// update makes TestGolden write the transcripts instead of comparing them.
var update = flag.Bool("update", false, "write what map prints into testdata/golden")

// withOutputs returns the text of a transcript with new outputs of its queries.
func withOutputs(text string, queries []query) string {
	var b strings.Builder
	at := 0
	for i, line := range strings.SplitAfter(text, "\n") {
		switch {
		case at < len(queries) && queries[at].line == i+1:
			b.WriteString(line + queries[at].want)
			at++
		case at == 0, strings.HasPrefix(line, "# "), strings.HasPrefix(line, "$ "), line == "\n":
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestGolden maps, through the guest, the images of every transcript and compares each byte and
// exit status with it. docs/qemu-img-map.md says what the transcripts show.
func TestGolden(t *testing.T) {
	needs.Qemu(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(here, "testdata/golden/*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	real := realTool(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			g := parseGolden(t, string(text))
			t.Chdir(t.TempDir())
			cmd := exec.Command("bash", "-ec", strings.Join(g.setup, "\n"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			settleAll(t, ".")
			for i, q := range g.queries {
				for n, p := range q.profiles {
					args := q.args
					if p != "own" {
						args = append([]string{"map", "--qemu-version", p}, q.args[1:]...)
					}
					got := transcript(real, args)
					if *update && n == 0 {
						q.want, g.queries[i].want = got, got
					}
					if got != q.want {
						t.Errorf("%s:%d: profile %s: instarfs %s\n%swant\n%s", file, q.line, p,
							strings.Join(q.args, " "), got, q.want)
					}
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(withOutputs(string(text), g.queries)),
					0o644); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// settleAll settles the files beneath a directory.
func settleAll(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			settle(t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

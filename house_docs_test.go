package house_test

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"instarfs/cmd/instarfs/options"
	"instarfs/guest/img"
	"instarfs/vmm/chain"
	"instarfs/vmm/gate"
	"instarfs/vmm/session"
)

// update makes TestArchitectureShowsTheLattice write the imports instead of comparing them.
var update = flag.Bool("update", false, "write the lattice of imports into ARCHITECTURE.md")

// read returns the text of a document.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block returns what stands between the fences of the first code block after a heading.
func block(t *testing.T, text, heading string) string {
	t.Helper()
	_, after, ok := strings.Cut(text, "\n"+heading+"\n")
	_, after, fence := strings.Cut(after, "\n```\n")
	inside, _, end := strings.Cut(after, "```\n")
	if !ok || !fence || !end {
		t.Fatalf("no code block after %q", heading)
	}
	return inside
}

// TestArchitectureListsTheRooms: a reader who starts with ARCHITECTURE.md meets every package once.
func TestArchitectureListsTheRooms(t *testing.T) {
	var rooms []string
	for line := range strings.Lines(block(t, read(t, "ARCHITECTURE.md"), "## Rooms")) {
		room, _, ok := strings.Cut(line, "/ ")
		if !ok {
			t.Errorf("%q does not begin with a package and a slash", line)
		}
		rooms = append(rooms, room)
	}
	listed := map[string]bool{}
	for pkg := range sources(t) {
		own := slices.Contains(rooms, pkg)
		for _, r := range rooms {
			if r == pkg || !own && matches(pkg, []string{r}) {
				listed[r], own = true, true
			}
		}
		if !own && pkg != "." {
			t.Errorf("%s is not in the list", pkg)
		}
	}
	for _, r := range rooms {
		if !listed[r] {
			t.Errorf("%s is in the list, and does not exist", r)
		}
	}
}

// TestArchitectureShowsTheLattice: what is written there is what is tested.
func TestArchitectureShowsTheLattice(t *testing.T) {
	var want strings.Builder
	for _, r := range lattice {
		uses := r.uses
		if uses == "" {
			uses = "-"
		}
		if r.pkg != "." {
			fmt.Fprintf(&want, "%-26s %s\n", r.pkg, uses)
		}
	}
	text := read(t, "ARCHITECTURE.md")
	got := block(t, text, "## Imports")
	switch {
	case got == want.String():
	case *update:
		const fence = "```\n"
		text = strings.Replace(text, fence+got+fence, fence+want.String()+fence, 1)
		if err := os.WriteFile("ARCHITECTURE.md", []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	default:
		t.Error("it differs: go test . -run Lattice -update writes it")
	}
}

// pages are the documents about the present tree, in contrast to the changelog.
var pages = []string{"ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"}

// TestPagesNameWhatExists: files, directories and names of ours that documents name are there.
func TestPagesNameWhatExists(t *testing.T) {
	there := names(t)
	quoted := regexp.MustCompile("`([^`\n]+)`")
	ours := regexp.MustCompile(
		`^(cache|cmd|docs|fusefs|guest|mountinfo|needs|render|vmm|\.ci)(/[\w.*/-]+)?$`)
	goFile := regexp.MustCompile(`[\w*/-]*[a-zA-Z0-9]\w*\.(go|s)\b`)
	name := regexp.MustCompile(`^[a-z]\w*\.[A-Z]\w*(\.\w+)?$`)
	seen := 0
	for _, page := range pages {
		text := read(t, page)
		var found []string
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			word := strings.TrimSuffix(m[1], "/")
			if ours.MatchString(word) || name.MatchString(word) {
				found = append(found, word)
			}
		}
		found = append(found, goFile.FindAllString(text, -1)...)
		for _, word := range found {
			seen++
			if strings.Contains(word, "NEW") { // in a recipe, the name of what is to be made
				continue
			}
			if !there[word] && !exists(word, there) {
				t.Errorf("%s names %s, which does not exist", page, word)
			}
		}
	}
	if seen < 60 {
		t.Errorf("%d names were found: this test sees nothing", seen)
	}
}

// exists reports whether there is a file or directory of a name, which may be a pattern; anywhere,
// if it has no directory.
func exists(name string, there map[string]bool) bool {
	if found, err := filepath.Glob(name); err == nil && len(found) > 0 {
		return true
	}
	for base := range there {
		if matches(base, []string{name}) {
			return true
		}
	}
	return false
}

// names returns the names of files without their directories, package.Name of what packages
// declare, and package.Type.Name of methods and fields.
func names(t *testing.T) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	walk(t, func(name, _ string) error {
		there[path.Base(name)] = true
		return nil
	})
	for _, files := range sources(t) {
		for _, f := range files {
			for _, d := range f.ast.Decls {
				for _, n := range declared(d) {
					there[f.ast.Name.Name+"."+n] = true
				}
			}
		}
	}
	return there
}

// declared returns the names that a declaration declares; those of methods and fields after their
// type.
func declared(d ast.Decl) (list []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			to := d.Recv.List[0].Type
			if star, ok := to.(*ast.StarExpr); ok {
				to = star.X
			}
			name = fmt.Sprint(to) + "." + name
		}
		return []string{name}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				list = append(list, s.Name.Name)
				if st, ok := s.Type.(*ast.StructType); ok {
					for _, f := range st.Fields.List {
						for _, n := range f.Names {
							list = append(list, s.Name.Name+"."+n.Name)
						}
					}
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					list = append(list, n.Name)
				}
			}
		}
	}
	return list
}

// TestPromisesHaveTests: each test and file of tests that SECURITY.md names as the holder of a
// promise exists.
func TestPromisesHaveTests(t *testing.T) {
	there := map[string]bool{}
	for _, files := range sources(t) {
		for _, f := range files {
			there[path.Base(f.name)] = true
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && f.test {
					there[fn.Name.Name] = true
				}
			}
		}
	}
	text := read(t, "SECURITY.md")
	named := regexp.MustCompile(`\bTest[A-Z]\w+|\w+_test\.go`).FindAllString(text, -1)
	if len(named) < 20 {
		t.Errorf("only %d tests are named: %q", len(named), named)
	}
	for _, name := range named {
		if !there[name] {
			t.Errorf("SECURITY.md names %s, which is not there", name)
		}
	}
}

// TestReadmeListsTheFormats: each format has a row, in which its name comes first.
func TestReadmeListsTheFormats(t *testing.T) {
	_, table, ok := strings.Cut(read(t, "README.md"), "\n| format | mapped |")
	if !ok {
		t.Fatal("no table of formats")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var got, want []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\w+)`).FindAllStringSubmatch(table, -1) {
		got = append(got, m[1])
	}
	for f := range img.Formats {
		if f.Known() && !f.IsPart() {
			want = append(want, f.String())
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("README.md lists %q, want %q", got, want)
	}
}

// TestLimitsHaveTheirDefaults: docs/limits.md and the code have the same numbers.
func TestLimitsHaveTheirDefaults(t *testing.T) {
	text := read(t, "docs/limits.md")
	for option, limit := range map[string]time.Duration{
		"guest-time": session.DefaultBudget.Time, "call-time": gate.DefaultCallTime,
		"source-time": chain.DefaultSource, "compose-time": chain.DefaultCompose,
		"map-time": chain.DefaultMap,
	} {
		row := " | `--" + option + "` | " + options.ShortTime(limit) + " | "
		if !strings.Contains(text, row) {
			t.Errorf("docs/limits.md has no row with %q", row)
		}
	}
}

// TestPagesNameKnownOptions: an option of ours that a document names is one of a table of options.
func TestPagesNameKnownOptions(t *testing.T) {
	known := map[string]bool{"help": true, "option": true, "verbose": true} // cobra's, and its own
	for _, f := range sources(t)["cmd/instarfs"] {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if kv, ok := n.(*ast.KeyValueExpr); ok && fmt.Sprint(kv.Key) == "Long" {
				if lit, ok := kv.Value.(*ast.BasicLit); ok {
					name, _ := strconv.Unquote(lit.Value)
					known[name] = true
				}
			}
			return true
		})
	}
	option := regexp.MustCompile("`(?:mount |map )?--([a-z0-9-]+)")
	seen := 0
	for _, page := range append(slices.Clone(pages), "docs/limits.md") {
		for _, m := range option.FindAllStringSubmatch(read(t, page), -1) {
			seen++
			if !known[m[1]] {
				t.Errorf("%s names --%s, which is no option", page, m[1])
			}
		}
	}
	if len(known) < 20 || seen < 15 {
		t.Errorf("%d options, named %d times: this test sees nothing", len(known), seen)
	}
}

// TestNoPathsOfAWorkplace: what is committed means the same on every machine.
func TestNoPathsOfAWorkplace(t *testing.T) {
	noLine(t, "names a place of one machine", `/`+`work/|/`+`tmp/w`)
}

// TestNoForeignDocuments: what the tree refers to is in the tree, or public.
func TestNoForeignDocuments(t *testing.T) {
	noLine(t, "refers to a document that is not in the tree",
		`\b[Ss]pec [A-Z]\.\d|\bdesign[/]|\b[A-Z]\.\d+\.\d+\b`)
}

// noLine checks that no line of the tree matches an expression. Data of tests may hold anything.
func noLine(t *testing.T, what, expression string) {
	t.Helper()
	bad := regexp.MustCompile(expression)
	seen := 0
	walk(t, func(name, text string) error {
		if strings.Contains(name, "testdata/") || name == "go.sum" {
			return nil
		}
		seen++
		for i, line := range strings.Split(text, "\n") {
			if bad.MatchString(line) {
				t.Errorf("%s:%d %s: %q", name, i+1, what, line)
			}
		}
		return nil
	})
	if seen < 100 {
		t.Errorf("%d files: this test sees nothing", seen)
	}
}

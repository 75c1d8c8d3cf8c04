// Package house_test holds the rules of the house: which package may use which, what no package may
// do, and what documents must not say. They are read from the sources by these tests; what the go
// command says would come from its cache. A rule that a change breaks is changed only together with
// its reason. A rule about something that no longer exists fails as well.
package house_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	// maxLines is the length of the longest source file. One idea a file; 250 lines are usual.
	maxLines = 500
	// maxCode is how many lines of code a package has, tests, comments and blank lines not counted.
	// A reader keeps that much in mind; a package that has more holds more than one idea.
	maxCode = 1500
	// maxWidth is how wide a line is, in columns: two files fit on a screen.
	maxWidth = 100
	// tabWidth is how many columns a tab takes.
	tabWidth = 4
)

// file is one source file.
type file struct {
	name    string // from the root of the module
	imports []string
	test    bool
	ast     *ast.File
	text    string
	lines   int
}

const module = "instarfs/"

// walk calls f with the name and the text of each file of the tree that is not built or fetched.
func walk(t *testing.T, f func(name, text string) error) {
	t.Helper()
	built := []string{".git", "bin", "guest/payload/bin"}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case slices.Contains(built, name):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return f(name, string(text))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources parses every Go file of the module, by package path without the module's name.
func sources(t *testing.T) map[string][]file {
	t.Helper()
	pkgs := map[string][]file{}
	set := token.NewFileSet()
	walk(t, func(name, text string) error {
		if path.Ext(name) != ".go" {
			return nil
		}
		mode := parser.ParseComments | parser.SkipObjectResolution
		parsed, err := parser.ParseFile(set, name, text, mode)
		if err != nil {
			return err
		}
		f := file{
			name: name, test: strings.HasSuffix(name, "_test.go"), ast: parsed, text: text,
			lines: set.File(parsed.FileStart).LineCount(),
		}
		for _, i := range parsed.Imports {
			f.imports = append(f.imports, strings.Trim(i.Path.Value, `"`))
		}
		pkgs[path.Dir(name)] = append(pkgs[path.Dir(name)], f)
		return nil
	})
	return pkgs
}

// TestUnsafeIsWhereItSays: a reviewer finds the dangerous files with ls. Tests may measure.
func TestUnsafeIsWhereItSays(t *testing.T) {
	for _, files := range sources(t) {
		for _, f := range files {
			says := strings.HasSuffix(f.name, "_unsafe.go")
			if does := slices.Contains(f.imports, "unsafe"); says != does && !f.test {
				t.Errorf("%s: its name says unsafe: %v; it imports unsafe: %v", f.name, says, does)
			}
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, files := range sources(t) {
		for _, f := range files {
			if f.lines > maxLines {
				t.Errorf("%s has %d lines, %d are allowed: it holds more than one idea",
					f.name, f.lines, maxLines)
			}
		}
	}
}

func TestPackagesAreSmall(t *testing.T) {
	for pkg, files := range sources(t) {
		code := 0
		for _, f := range files {
			if !f.test {
				code += len(codeLines(f.text))
			}
		}
		if code > maxCode {
			t.Errorf("%s has %d lines of code, %d are allowed: it holds more than one idea",
				pkg, code, maxCode)
		}
	}
}

// codeLines returns the numbers of the lines on which there is more than comments.
func codeLines(text string) map[int]bool {
	lines := map[int]bool{}
	eachToken(text, func(line int, tok token.Token, lit string) {
		if tok == token.SEMICOLON && lit == "\n" {
			return // which the end of a line stands for
		}
		for i := range strings.Count(lit, "\n") + 1 {
			lines[line+i] = true
		}
	})
	return lines
}

// eachToken calls f with each token of a source, comments left out.
func eachToken(text string, f func(line int, tok token.Token, lit string)) {
	set := token.NewFileSet()
	in := set.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(in, []byte(text), nil, 0)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return
		}
		f(in.Line(pos), tok, lit)
	}
}

// TestCodeLines: what is counted is what has to be read.
func TestCodeLines(t *testing.T) {
	text := "// A.\npackage p // b\n\n/* c\n*/\nvar a = `1\n\n2`\n\nvar (\n\tb = 1\n)\n"
	if got := codeLines(text); len(got) != 7 || !got[2] || !got[6] || !got[8] || !got[12] {
		t.Errorf("%v", got)
	}
}

// TestLinesAreNarrow leaves out lines with raw strings: these are what a program reads or prints.
func TestLinesAreNarrow(t *testing.T) {
	for _, files := range sources(t) {
		for _, f := range files {
			raw := map[int]bool{}
			eachToken(f.text, func(line int, tok token.Token, lit string) {
				if tok == token.STRING && lit[0] == '`' {
					for i := range strings.Count(lit, "\n") + 1 {
						raw[line+i] = true
					}
				}
			})
			for n, line := range strings.Split(f.text, "\n") {
				if w := width(line); w > maxWidth && !raw[n+1] {
					t.Errorf("%s:%d is %d columns wide, %d are allowed", f.name, n+1, w, maxWidth)
				}
			}
		}
	}
}

// width returns how many columns a line takes.
func width(line string) int {
	return len([]rune(strings.ReplaceAll(line, "\t", strings.Repeat(" ", tabWidth))))
}

// TestNoInit: what happens before main happens where nobody reads.
func TestNoInit(t *testing.T) {
	for _, files := range sources(t) {
		for _, f := range files {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has a function init", f.name)
				}
			}
		}
	}
}

// TestPackagesSayWhatTheyAre: one file of each package has a comment over its package clause, in
// the form of godoc. A package of tests alone has no documentation that godoc shows.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	for pkg, files := range sources(t) {
		var docs []string
		tests := true
		for _, f := range files {
			tests = tests && f.test
			if f.ast.Doc != nil && !f.test {
				docs = append(docs, f.ast.Doc.Text())
			}
		}
		name := strings.TrimSuffix(files[0].ast.Name.Name, "_test")
		start := fmt.Sprintf("Package %s ", name)
		if name == "main" {
			start = fmt.Sprintf("Command %s ", path.Base(pkg))
		}
		if !tests && (len(docs) != 1 || !strings.HasPrefix(docs[0], start)) {
			t.Errorf("%s: want one comment that starts %q, have %q", pkg, start, docs)
		}
	}
}

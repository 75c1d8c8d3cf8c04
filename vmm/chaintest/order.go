package chaintest

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FilesInOrder checks that no file of the package that is tested uses what a later file declares,
// in the list of files that the package comment has: the list goes from the bottom up.
func FilesInOrder(t *testing.T) {
	t.Helper()
	set := token.NewFileSet()
	var parsed []*ast.File
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	order := listedFiles(t, parsed)
	at := func(pos token.Pos) int {
		name := set.Position(pos).Filename
		i := slices.Index(order, name)
		if i < 0 && name != "doc.go" {
			t.Fatalf("the package comment does not list %s", name)
		}
		return i
	}
	declared, uses := namesOf(set, parsed)
	down := map[[2]string]bool{}
	for name, objects := range uses {
		from, to := at(name.Pos()), len(order)
		for _, o := range objects {
			to = min(to, at(o.Pos()))
		}
		if to > from {
			t.Errorf("%s uses %s of %s", set.Position(name.Pos()), name.Name, order[to])
		} else if to < from {
			down[[2]string{order[from], order[to]}] = true
		}
	}
	if len(down) < len(order)-1 || declared < len(order) {
		t.Errorf("%d files use another, %d declarations: this test sees nothing",
			len(down), declared)
	}
}

// listedFiles returns the files that the package comment lists, which are all there are.
func listedFiles(t *testing.T, parsed []*ast.File) (order []string) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^\t(\w+\.go)\b`)
	for _, f := range parsed {
		for _, m := range line.FindAllStringSubmatch(f.Doc.Text(), -1) {
			order = append(order, m[1])
		}
	}
	for _, name := range order {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	return order
}

// namesOf returns how many types, fields, functions and so on the package declares, and for each
// use of one what it may be. Other packages are not loaded, so an expression of one of their types
// has no type here: what is selected from it is found by its name, if that is not exported.
func namesOf(set *token.FileSet, parsed []*ast.File) (
	declared int, uses map[*ast.Ident][]types.Object,
) {
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: noPackages{}, Error: func(error) {}}
	pkg, _ := config.Check("", set, parsed, info)
	uses = map[*ast.Ident][]types.Object{}
	byName := map[string][]types.Object{}
	for name, o := range info.Defs {
		if ofPackage(pkg, o) {
			declared++
			byName[name.Name] = append(byName[name.Name], o)
		}
	}
	for name, o := range info.Uses {
		if ofPackage(pkg, o) {
			uses[name] = []types.Object{o}
		}
	}
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if ok && info.Uses[s.Sel] == nil && len(byName[s.Sel.Name]) > 0 && !s.Sel.IsExported() {
				uses[s.Sel] = byName[s.Sel.Name]
			}
			return true
		})
	}
	return declared, uses
}

// ofPackage reports whether a package declares an object outside of its functions.
func ofPackage(pkg *types.Package, o types.Object) bool {
	if o == nil || o.Pkg() != pkg {
		return false
	}
	if v, ok := o.(*types.Var); ok && v.IsField() {
		return true
	}
	f, ok := o.(*types.Func)
	return o.Parent() == pkg.Scope() || ok && f.Signature().Recv() != nil
}

// noPackages imports nothing.
type noPackages struct{}

func (noPackages) Import(string) (*types.Package, error) { return nil, errors.New("not loaded") }

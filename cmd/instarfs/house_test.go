package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The rules of the house: which room may use which, and what no room may do. They are read from the sources by this test
// itself; what the go command says would come from its cache. A rule that a change breaks is changed only together with the
// reason that stands beside it, and with ARCHITECTURE.md. A rule for what no longer exists fails as well.

// room is what one package, or all that match a pattern of package path, may import of this module.
type room struct {
	pkg  string
	uses []string // packages or patterns
	why  string
}

var lattice = []room{
	{"guest/extent", nil, "what an extent is depends on nothing: both sides of the VM use it"},
	{"guest/img", nil, "the nouns of both sides depend on nothing"},
	{"guest/fault", []string{"guest/img", "guest/show"}, "what can be wrong: the guest finds it, the host words it"},
	{"guest/show", nil, "text fit to be shown depends on nothing: everything that words something needs it"},
	{"mountinfo", nil, "the table of mounts is text of the kernel, whoever asks"},
	{"needs", nil, "what tests need from the machine, and no test of anything"},
	{"vmm/bug", nil, "a panic is the same everywhere"},
	{"guest/payload", nil, "bytes of a program: it must build before the guest exists"},
	{"guest/abi", []string{"guest/img", "guest/extent", "guest/fault"}, "the bytes between host and guest, and no idea of formats or of KVM"},
	{"guest/block", []string{"guest/fault"}, "a device is bytes: formats must not see virtio or files behind it"},
	{"guest/format", []string{"guest/img", "guest/extent", "guest/fault", "guest/block"}, "what every format implements, without the wire"},
	{"guest/format/*", []string{"guest/img", "guest/extent", "guest/fault", "guest/block", "guest/format"}, "formats do not know each other"},
	{"guest/format/*/*test", []string{"guest/extent", "guest/fault", "guest/format/formattest"},
		"what builds images shares no code with what reads them"},
	{"guest/format/qemutest", []string{"needs", "guest/fault", "guest/format/*/*test"},
		"images made by qemu-img, or by the builders"},
	{"guest/format/all", []string{"guest/img", "guest/fault", "guest/block", "guest/format", "guest/format/*"}, "the one ordered table of formats"},
	{"guest/run", []string{"guest/extent", "guest/fault", "guest/abi", "guest/block", "guest/format", "guest/format/all"}, "what a guest does with a job, whatever carries it"},
	{"guest/process", []string{"guest/abi", "guest/run"}, "messages and system calls: it knows no format"},
	{"guest/agent", []string{"guest/abi", "guest/process", "guest/run"}, "the guest program"},
	{"vmm/kvm", nil, "the kernel's interface holds no policy"},
	{"vmm/virtio", []string{"guest/abi"}, "the device side knows neither KVM nor files"},
	{"vmm/turns", nil, "who runs now is decided without knowing what runs"},
	{"vmm/ledger", nil, "memory is counted without knowing what it is for"},
	{"vmm/session", []string{"guest/show", "vmm/bug", "guest/img", "guest/extent", "guest/fault", "guest/abi", "vmm/turns", "vmm/ledger"}, "a run whatever carries it: no KVM, no process, no file"},
	{"vmm", []string{"vmm/bug", "guest/abi", "vmm/kvm", "vmm/virtio", "vmm/session", "vmm/ledger"}, "runs any program it is given: not the payload, not paths, not formats"},
	{"vmm/jail", []string{"vmm/bug", "guest/abi", "vmm/session", "vmm/ledger"}, "the second carrier: runs any program it is given, as vmm does"},
	{"vmm/jail/jailtest", []string{"guest/abi"}, "what a test and its hostile guest agree on"},
	{"vmm/jail/jailtest/hostile", []string{"guest/abi", "guest/process", "vmm/jail/jailtest"},
		"a guest that misbehaves after a real start; never part of a program that runs"},
	{"vmm/vmmtest", []string{"guest/abi", "guest/run", "vmm/session", "vmm/turns"}, "the guest's code in the process of a test"},
	{"cache", []string{"vmm/bug"}, "it knows nothing of what it keeps"},
	{"vmm/gate", []string{"mountinfo", "vmm/bug"}, "whose rights, and which file system: not which path, nor why"},
	{"vmm/files", []string{"vmm/gate"}, "which file, and how it is opened: not what is in it"},
	{"vmm/image", []string{"vmm/gate", "vmm/files"}, "what a file says of itself, no byte of it interpreted"},
	{"vmm/compose", []string{"guest/img", "guest/extent", "guest/fault", "guest/abi", "vmm/session", "vmm/image", "vmm/turns", "vmm/ledger"}, "layers in, a map out: opens nothing, runs nothing"},
	{"vmm/failure", []string{"guest/show", "guest/img", "guest/extent", "guest/fault", "vmm/session", "vmm/files", "vmm/image", "vmm/ledger"}, "errors in, words and numbers out"},
	{"vmm/chain", []string{"guest/img", "guest/extent", "guest/fault", "vmm/session", "vmm/files", "vmm/gate", "vmm/image", "vmm/compose", "vmm/failure", "vmm/turns", "vmm/ledger", "cache"}, "the only place where an image's text may become a path"},
	{"vmm/source", []string{"guest/extent", "vmm/files", "vmm/gate", "vmm/image", "vmm/failure", "vmm/chain"}, "paths and rights of a mount: how maps are made is not its business"},
	{"vmm/chaintest", []string{"guest/show", "guest/format/qcow2/qcow2test", "guest/img", "guest/extent", "guest/fault", "guest/abi", "vmm/session"}, "layers and images for tests of chains"},
	{"render", []string{"guest/img", "guest/extent"}, "pure: a map in, bytes out"},
	{"fusefs/mountpoint", []string{"mountinfo"}, "a place to mount at: not what is mounted"},
	{"fusefs/caller", nil, "who asks: not what for"},
	{"fusefs/logger", []string{"guest/show"}, "lines for people: not what about"},
	{"fusefs/answer", []string{"fusefs/caller", "fusefs/logger"}, "error numbers: not which file"},
	{"fusefs/inode", nil, "what is true of an inode: not of which tree"},
	{"fusefs/usage", nil, "how a directory is used: not what is in it"},
	{"fusefs", []string{"fusefs/answer", "fusefs/caller", "fusefs/inode", "fusefs/usage", "fusefs/logger", "fusefs/mountpoint", "mountinfo", "guest/show", "guest/img", "guest/extent"}, "sees maps through interfaces of its own, not what makes them"},
	{"cmd/instarfs/options", []string{"guest/img"}, "how options are parsed: not which there are"},
	{"cmd/instarfs/memory", []string{"mountinfo"}, "how much there is: not what for"},
	{"cmd/instarfs/process", nil, "how a process ends: not what it did"},
	{"cmd/instarfs/guests", []string{"cmd/instarfs/memory", "guest/payload", "vmm", "vmm/chain", "vmm/jail", "vmm/kvm", "vmm/ledger", "vmm/session", "vmm/turns"}, "what carries runs, and what they may use: not what is mapped"},
	{"cmd/instarfs", []string{"cmd/instarfs/guests", "cmd/instarfs/memory", "cmd/instarfs/process", "cmd/instarfs/options", "mountinfo", "vmm/gate", "guest/show", "guest/img", "guest/extent", "guest/fault", "guest/payload", "vmm/session", "vmm/chain", "vmm/files", "vmm/source", "render", "fusefs"}, "where everything meets"},
	{"cmd/generate", []string{"guest/format/qcow2/qcow2test"}, "sample images come from the builder that the tests use"},
	{"cmd/bench", []string{"guest/format/qcow2/qcow2test"}, "measures the finished program from outside, over images that it builds"},
	{"cmd/soak", []string{"guest/format/formattest", "guest/format/qcow2/qcow2test"}, "tests the finished program from outside, over images that it builds"},
}

// forTests are the packages that every test may import in addition to what its package may.
var forTests = []room{
	{"guest/format/formattest", nil, "what tests of formats share; never part of a program that runs"},
	{"guest/format/*/*test", nil, "images that tests write; never part of a program that runs"},
	{"guest/format/qemutest", nil, "images that qemu-img makes; never part of a program that runs"},
	{"guest/payload", nil, "the real guest, for those who run it"},
	{"guest/img", nil, "a leaf, which tests use in what a guest says"},
	{"guest/extent", nil, "a leaf, as above"},
	{"guest/fault", nil, "a leaf, as above"},
	{"guest/show", nil, "a leaf, as above"},
	{"vmm/turns", nil, "turns of a test's own"},
	{"vmm/chaintest", nil, "layers and images for tests of chains"},
	{"needs", nil, "what tests need from the machine; never part of a program that runs"},
	{"vmm/vmmtest", nil, "runs without KVM, never part of a program that runs"},
	{"vmm/jail/jailtest", nil, "what a hostile guest is told; never part of a program that runs"},
}

// owners are the packages that may import a module that is not ours. All others are forbidden to all.
var owners = []room{
	{"golang.org/x/sys/unix", []string{"mountinfo", "vmm", "vmm/*", "fusefs", "fusefs/*", "cmd/instarfs", "cmd/instarfs/memory", "cmd/instarfs/process", "cmd/bench", "cmd/soak"}, "system calls are made by those who face the kernel"},
	{"github.com/hanwen/go-fuse/v2", []string{"fusefs", "fusefs/answer", "fusefs/caller"}, "one dependency, one owner"},
	{"github.com/hashicorp/golang-lru/v2", []string{"cache"}, "one dependency, one owner"},
	{"github.com/spf13/cobra", []string{"cmd/instarfs", "cmd/instarfs/options"}, "one dependency, one owner"},
}

// unreachable are packages that a program must not contain, however indirectly.
var unreachable = []room{
	{"cmd/instarfs", []string{"guest/agent", "guest/block", "guest/format", "guest/format/*", "guest/format/*/*"},
		"the host could not parse an image if it wanted to"},
	{"guest/agent", []string{"fmt", "os", "syscall", "time", "context", "net", "log"}, "what the guest does not link it cannot call: its system calls stay few"},
}

// maxLines is the length of the longest source file. One idea a file; 250 lines are usual.
const maxLines = 500

// file is one source file.
type file struct {
	name    string // from the root of the module
	imports []string
	test    bool
	ast     *ast.File
	lines   int
}

const module = "instarfs/"

// root is the module's directory as seen from this test.
var root = filepath.Join("..", "..")

// sources parses every Go file of the module, by package path without the module's name.
func sources(t *testing.T) map[string][]file {
	t.Helper()
	pkgs := map[string][]file{}
	set := token.NewFileSet()
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".go" {
			return err
		}
		parsed, err := parser.ParseFile(set, filepath.Join(root, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f := file{name: name, test: strings.HasSuffix(name, "_test.go"), ast: parsed, lines: set.File(parsed.FileStart).LineCount()}
		for _, i := range parsed.Imports {
			f.imports = append(f.imports, strings.Trim(i.Path.Value, `"`))
		}
		pkgs[path.Dir(name)] = append(pkgs[path.Dir(name)], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// matches reports whether a package path is one of patterns.
func matches(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, pkg)
		if err != nil {
			panic(err)
		}
		return ok
	})
}

// roomOf finds the entry for a package: its own, or else the pattern that it matches.
func roomOf(pkg string) *room {
	i := slices.IndexFunc(lattice, func(r room) bool { return r.pkg == pkg })
	if i < 0 {
		i = slices.IndexFunc(lattice, func(r room) bool { return matches(pkg, []string{r.pkg}) })
	}
	if i < 0 {
		return nil
	}
	return &lattice[i]
}

func TestRoomsImportWhatTheyMay(t *testing.T) {
	used := map[string]bool{} // "room uses package" that occur
	for pkg, files := range sources(t) {
		r := roomOf(pkg)
		if r == nil {
			t.Errorf("%s is no room of the house: give it a rule and a reason", pkg)
			continue
		}
		used[r.pkg] = true
		for _, f := range files {
			for _, i := range f.imports {
				to, ours := strings.CutPrefix(i, module)
				switch {
				case !ours || f.test && to == pkg:
				case matches(to, r.uses):
					for _, p := range r.uses {
						if matches(to, []string{p}) && !f.test {
							used[r.pkg+" uses "+p] = true
						}
					}
				case f.test && slices.ContainsFunc(forTests, func(r room) bool {
					found := matches(to, []string{r.pkg})
					used["tests use "+r.pkg] = used["tests use "+r.pkg] || found
					return found
				}):
				default:
					t.Errorf("%s imports %s, which %s must not: %s", f.name, to, r.pkg, r.why)
				}
			}
		}
	}
	for _, r := range lattice {
		if !used[r.pkg] {
			t.Errorf("there is a rule for %s, and no such package", r.pkg)
			continue
		}
		for _, p := range r.uses {
			if !used[r.pkg+" uses "+p] {
				t.Errorf("%s may import %s, and does not: take the permission back", r.pkg, p)
			}
		}
	}
	for _, r := range forTests {
		if !used["tests use "+r.pkg] {
			t.Errorf("tests may import %s, and none does", r.pkg)
		}
	}
}

func TestDependenciesHaveOwners(t *testing.T) {
	used := map[string]bool{}
	for pkg, files := range sources(t) {
		for _, f := range files {
			for _, i := range f.imports {
				if first, _, _ := strings.Cut(i, "/"); !strings.Contains(first, ".") {
					continue // ours, or the standard library's
				}
				n := slices.IndexFunc(owners, func(r room) bool { return i == r.pkg || strings.HasPrefix(i, r.pkg+"/") })
				if n < 0 {
					t.Errorf("%s imports %s: a further dependency needs an owner and a reason", f.name, i)
					continue
				}
				if !matches(pkg, owners[n].uses) {
					t.Errorf("%s imports %s, which belongs to %s: %s", f.name, i, owners[n].uses, owners[n].why)
				}
				for _, p := range owners[n].uses {
					if matches(pkg, []string{p}) {
						used[owners[n].pkg+" in "+p] = true
					}
				}
			}
		}
	}
	for _, r := range owners {
		for _, p := range r.uses {
			if !used[r.pkg+" in "+p] {
				t.Errorf("%s belongs to %s, where nothing imports it", r.pkg, p)
			}
		}
	}
}

// TestProgramsDoNotContain follows imports as the compiler would, through the standard library too.
func TestProgramsDoNotContain(t *testing.T) {
	pkgs := sources(t)
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = "linux", "amd64", false
	imports := func(pkg string) []string {
		var list []string
		if own, ok := strings.CutPrefix(pkg, module); ok {
			for _, f := range pkgs[own] {
				if !f.test {
					list = append(list, f.imports...)
				}
			}
			return list
		}
		for _, dir := range []string{pkg, "vendor/" + pkg} {
			if p, err := ctx.ImportDir(filepath.Join(ctx.GOROOT, "src", dir), 0); err == nil {
				return p.Imports
			}
		}
		return nil // a module of somebody else's: it leads to no package of ours
	}
	for _, r := range unreachable {
		from := map[string]string{module + r.pkg: ""}
		todo := []string{module + r.pkg}
		for len(todo) > 0 {
			pkg := todo[0]
			todo = todo[1:]
			for _, i := range imports(pkg) {
				if _, ok := from[i]; !ok && i != "C" {
					from[i] = pkg
					todo = append(todo, i)
				}
			}
		}
		if len(from) < 10 {
			t.Errorf("%s contains %d packages: this test sees nothing", r.pkg, len(from))
		}
		for pkg := range from {
			if !matches(strings.TrimPrefix(pkg, module), r.uses) {
				continue
			}
			way := pkg
			for p := from[pkg]; p != ""; p = from[p] {
				way = p + " -> " + way
			}
			t.Errorf("%s: %s", way, r.why)
		}
		for _, p := range r.uses {
			_, err := os.Stat(filepath.Join(ctx.GOROOT, "src", p))
			if err != nil && !slices.ContainsFunc(lattice, func(l room) bool { return matches(l.pkg, []string{p}) }) {
				t.Errorf("%s must not contain %s, which does not exist", r.pkg, p)
			}
		}
	}
}

// TestUnsafeIsWhereItSays: a reviewer finds the dangerous files with ls. Tests may measure.
func TestUnsafeIsWhereItSays(t *testing.T) {
	for _, files := range sources(t) {
		for _, f := range files {
			if says, does := strings.HasSuffix(f.name, "_unsafe.go"), slices.Contains(f.imports, "unsafe"); says != does && !f.test {
				t.Errorf("%s: its name says unsafe: %v; it imports unsafe: %v", f.name, says, does)
			}
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, files := range sources(t) {
		for _, f := range files {
			if f.lines > maxLines {
				t.Errorf("%s has %d lines, %d are allowed: it holds more than one idea", f.name, f.lines, maxLines)
			}
		}
	}
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

// TestPackagesSayWhatTheyAre: one file of each package has a comment over its package clause, in the form of godoc.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	for pkg, files := range sources(t) {
		var docs []string
		for _, f := range files {
			if f.ast.Doc != nil && !f.test {
				docs = append(docs, f.ast.Doc.Text())
			}
		}
		name := strings.TrimSuffix(files[0].ast.Name.Name, "_test")
		start := fmt.Sprintf("Package %s ", name)
		if name == "main" {
			start = fmt.Sprintf("Command %s ", path.Base(pkg))
		}
		if len(docs) != 1 || !strings.HasPrefix(docs[0], start) {
			t.Errorf("%s: want one comment that starts %q, have %q", pkg, start, docs)
		}
	}
}

// TestNoPathsOfAWorkplace: what is committed means the same on every machine.
func TestNoPathsOfAWorkplace(t *testing.T) {
	places := []string{"/" + "work/", "/" + "tmp/w"}
	built := []string{".git", "bin", "guest/payload/bin"}
	seen := 0
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains(built, name) {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		seen++
		for i, line := range strings.Split(string(b), "\n") {
			for _, p := range places {
				if strings.Contains(line, p) {
					t.Errorf("%s:%d names a place of one machine: %q", name, i+1, p)
				}
			}
		}
		return nil
	})
	if err != nil || seen < 100 {
		t.Errorf("%d files, %v", seen, err)
	}
}

// TestPromisesHaveTests: every test and file of tests that SECURITY.md names as the holder of a promise exists.
func TestPromisesHaveTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
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
	named := regexp.MustCompile(`\bTest[A-Z]\w+|\w+_test\.go`).FindAllString(string(text), -1)
	if len(named) < 20 {
		t.Errorf("only %d tests are named: %q", len(named), named)
	}
	for _, name := range named {
		if !there[name] {
			t.Errorf("SECURITY.md names %s, which is not there", name)
		}
	}
}

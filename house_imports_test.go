package house_test

import (
	"go/build"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// room is what a package, or each package that matches a pattern of package path, may import.
type room struct {
	pkg  string
	uses string // packages or patterns, separated by spaces
	why  string
}

// list returns what the room may import.
func (r room) list() []string { return strings.Fields(r.uses) }

// lattice says which packages of this module each package may import. ARCHITECTURE.md shows it.
var lattice = []room{
	{"guest/extent", "", "what an extent is depends on nothing: both sides of the VM use it"},
	{"guest/img", "", "the nouns of both sides depend on nothing"},
	{"guest/fault", "guest/img guest/show",
		"what can be wrong: the guest finds it, the host words it"},
	{"guest/show", "",
		"text fit to be shown depends on nothing: everything that words something needs it"},
	{"mountinfo", "", "the table of mounts is text of the kernel, whoever asks"},
	{"needs", "", "what tests need from the machine, and no test of anything"},
	{"vmm/bug", "", "a panic is the same everywhere"},
	{"guest/payload", "", "bytes of a program: it must build before the guest exists"},
	{"guest/abi", "guest/extent guest/fault guest/img",
		"the bytes between host and guest, and no idea of formats or of KVM"},
	{"guest/block", "guest/fault",
		"a device is bytes: formats must not see virtio or files behind it"},
	{"guest/format", "guest/block guest/extent guest/fault guest/img",
		"what every format implements, without the wire"},
	{"guest/format/*", "guest/block guest/extent guest/fault guest/format guest/img",
		"formats do not know each other"},
	{"guest/format/*/*test", "guest/extent guest/fault guest/format/formattest",
		"what builds images shares no code with what reads them"},
	{"guest/format/qemutest", "guest/fault guest/format/*/*test needs",
		"images made by qemu-img, or by the builders"},
	{"guest/format/all", "guest/block guest/fault guest/format guest/format/* guest/img",
		"the one ordered table of formats"},
	{"guest/run", "guest/abi guest/block guest/extent guest/fault guest/format guest/format/all",
		"what a guest does with a job, whatever carries it"},
	{"guest/process", "guest/abi guest/run", "messages and system calls: it knows no format"},
	{"guest/agent", "guest/abi guest/process guest/run", "the guest program"},
	{"vmm/kvm", "", "the kernel's interface holds no policy"},
	{"vmm/virtio", "guest/abi", "the device side knows neither KVM nor files"},
	{"vmm/turns", "", "who runs now is decided without knowing what runs"},
	{"vmm/ledger", "", "memory is counted without knowing what it is for"},
	{"vmm/session",
		"guest/abi guest/extent guest/fault guest/img guest/show vmm/bug vmm/ledger vmm/turns",
		"a run whatever carries it: no KVM, no process, no file"},
	{"vmm/threads", "vmm/kvm", "who has the one processor of a machine, and no system call"},
	{"vmm/guestcache", "", "files are kept without knowing what is in them"},
	{"vmm/space", "guest/abi", "memory is filled without knowing what runs on it"},
	{"vmm/space/spacetest", "", "a program for tests, of any code"},
	{"vmm", "guest/abi vmm/bug vmm/guestcache vmm/kvm vmm/ledger vmm/session vmm/space " +
		"vmm/threads vmm/virtio",
		"runs any program it is given: not the payload, not paths, not formats"},
	{"vmm/sealed", "", "a program is kept without knowing what it is for"},
	{"vmm/jail", "guest/abi vmm/bug vmm/ledger vmm/sealed vmm/session",
		"the second carrier: runs any program it is given, as vmm does"},
	{"vmm/jail/jailtest", "guest/abi", "what a test and its hostile guest agree on"},
	{"vmm/jail/jailtest/hostile", "guest/abi guest/process vmm/jail/jailtest",
		"a guest that misbehaves after a real start; never part of a program that runs"},
	{"vmm/vmmtest", "guest/abi guest/run vmm/session vmm/turns",
		"the guest's code in the process of a test"},
	{"stats", "", "numbers and texts: not where they come from"},
	{"cache", "vmm/bug", "it knows nothing of what it keeps"},
	{"vmm/gate", "mountinfo vmm/bug",
		"whose rights, and which file system: not which path, nor why"},
	{"vmm/files", "vmm/gate", "which file, and how it is opened: not what is in it"},
	{"vmm/image", "vmm/files vmm/gate", "what a file says of itself, no byte of it interpreted"},
	{"vmm/compose",
		"guest/abi guest/extent guest/fault guest/img vmm/image vmm/ledger vmm/session " +
			"vmm/turns",
		"layers in, a map out: opens nothing, runs nothing"},
	{"vmm/failure",
		"guest/extent guest/fault guest/img guest/show vmm/files vmm/image vmm/ledger " +
			"vmm/session",
		"errors in, words and numbers out"},
	{"vmm/chain",
		"cache guest/extent guest/fault guest/img vmm/compose vmm/failure vmm/files vmm/gate " +
			"vmm/image vmm/ledger vmm/session vmm/turns",
		"the only place where an image's text may become a path"},
	{"vmm/source", "guest/extent vmm/chain vmm/failure vmm/files vmm/gate vmm/image",
		"paths and rights of a mount: how maps are made is not its business"},
	{"vmm/chaintest",
		"guest/abi guest/extent guest/fault guest/format/qcow2/qcow2test guest/img guest/show " +
			"vmm/session",
		"layers and images for tests of chains"},
	{"render", "guest/extent guest/img", "pure: a map in, bytes out"},
	{"fusefs/mountpoint", "mountinfo", "a place to mount at: not what is mounted"},
	{"fusefs/caller", "", "who asks: not what for"},
	{"fusefs/logger", "guest/show", "lines for people: not what about"},
	{"fusefs/answer", "fusefs/caller fusefs/logger", "error numbers: not which file"},
	{"fusefs/inode", "", "what is true of an inode: not of which tree"},
	{"fusefs/usage", "", "how a directory is used: not what is in it"},
	{"fusefs/circle", "", "who is let in: not to what"},
	{"fusefs/ahead", "", "when work is done: not what it is"},
	{"fusefs/view", "", "names of files: not what is in them"},
	{"fusefs/names", "guest/img", "which names are shown: not what of"},
	{"fusefs/report", "", "files with text: not what it says"},
	{"fusefs",
		"fusefs/ahead fusefs/answer fusefs/caller fusefs/circle fusefs/inode fusefs/logger " +
			"fusefs/mountpoint fusefs/names fusefs/report fusefs/usage fusefs/view " +
			"guest/extent guest/show mountinfo",
		"sees maps through interfaces of its own, not what makes them"},
	{"cmd/instarfs/options", "guest/img", "how options are parsed: not which there are"},
	{"cmd/instarfs/memory", "mountinfo", "how much there is: not what for"},
	{"cmd/instarfs/progress", "guest/show", "a line that updates itself: not about what"},
	{"cmd/instarfs/logs", "guest/show", "how lines are written: not what about"},
	{"cmd/instarfs/manual", "", "commands on paper: not what they do"},
	{"cmd/instarfs/status", "guest/show stats", "what a mount said, for people: not how it knew"},
	{"cmd/instarfs/service", "", "what a service manager is told: not by whom"},
	{"cmd/instarfs/process", "", "how a process ends: not what it did"},
	{"cmd/instarfs/devices", "", "what the system has: not what for"},
	{"cmd/instarfs/ending", "cmd/instarfs/process", "kinds of errors: not what is said of them"},
	{"cmd/instarfs/misuse", "cmd/instarfs/ending cmd/instarfs/options guest/img guest/show",
		"qemu-img's words for a command line: not what it asks for"},
	{"cmd/instarfs/guests",
		"cmd/instarfs/memory guest/img guest/payload stats vmm vmm/chain vmm/guestcache vmm/jail " +
			"vmm/kvm vmm/ledger vmm/session vmm/turns",
		"what carries runs, and what they may use: not what is mapped"},
	{"cmd/instarfs/mirror",
		"cmd/instarfs/guests cmd/instarfs/memory fusefs fusefs/names fusefs/report fusefs/view " +
			"guest/extent guest/img guest/show render stats vmm/chain vmm/files vmm/source",
		"puts a tree onto an engine: not what a command line says of it"},
	{"cmd/instarfs",
		"fusefs cmd/instarfs/devices cmd/instarfs/ending cmd/instarfs/guests cmd/instarfs/manual " +
			"cmd/instarfs/logs cmd/instarfs/memory " +
			"cmd/instarfs/mirror cmd/instarfs/misuse cmd/instarfs/options cmd/instarfs/service " +
			"cmd/instarfs/process cmd/instarfs/progress cmd/instarfs/status " +
			"guest/extent guest/fault guest/img guest/payload guest/show " +
			"mountinfo render vmm/chain vmm/files vmm/gate vmm/session",
		"where everything meets"},
	{"examples", "", "scripts and their tests: they know the program from outside"},
	{"examples/reader", "", "a program of somebody else"},
	{"cmd/generate", "guest/format/qcow2/qcow2test",
		"sample images come from the builder that the tests use"},
	{"cmd/bench", "guest/format/qcow2/qcow2test",
		"measures the finished program from outside, over images that it builds"},
	{"cmd/soak", "guest/format/formattest guest/format/qcow2/qcow2test",
		"tests the finished program from outside, over images that it builds"},
	{".", "cmd/instarfs/options guest/img vmm/chain vmm/gate vmm/session",
		"the rules, and what documents repeat of the code"},
}

// forTests are the packages that every test may import in addition to what its package may.
var forTests = []room{
	{"guest/format/formattest", "",
		"what tests of formats share; never part of a program that runs"},
	{"guest/format/*/*test", "", "images that tests write; never part of a program that runs"},
	{"guest/format/qemutest", "",
		"images that qemu-img makes; never part of a program that runs"},
	{"guest/payload", "", "the real guest, for those who run it"},
	{"guest/img", "", "a leaf, which tests use in what a guest says"},
	{"guest/extent", "", "a leaf, as above"},
	{"guest/fault", "", "a leaf, as above"},
	{"guest/show", "", "a leaf, as above"},
	{"stats", "", "what a mount says of itself, for those who mount"},
	{"vmm/turns", "", "turns of a test's own"},
	{"vmm/chaintest", "", "layers and images for tests of chains"},
	{"needs", "", "what tests need from the machine; never part of a program that runs"},
	{"vmm/vmmtest", "", "runs without KVM, never part of a program that runs"},
	{"vmm/space/spacetest", "", "a program of any code; never part of a program that runs"},
	{"vmm/jail/jailtest", "", "what a hostile guest is told; never part of a program that runs"},
}

// owners are the packages that may import a module that is not ours. All other modules are
// forbidden.
var owners = []room{
	{"golang.org/x/sys/unix",
		"cmd/bench cmd/instarfs cmd/instarfs/memory cmd/instarfs/mirror cmd/instarfs/process " +
			"cmd/soak fusefs " +
			"fusefs/* mountinfo vmm vmm/*",
		"system calls are made by those who face the kernel"},
	{"github.com/hanwen/go-fuse/v2", "fusefs fusefs/answer fusefs/caller fusefs/circle " +
		"fusefs/inode fusefs/report",
		"one dependency, one owner"},
	{"github.com/hashicorp/golang-lru/v2", "cache", "one dependency, one owner"},
	{"github.com/coreos/go-systemd/v22", "cmd/instarfs/service", "one dependency, one owner"},
	{"github.com/cpuguy83/go-md2man/v2", "cmd/instarfs/manual", "one dependency, one owner"},
	{"github.com/bmatcuk/doublestar/v4", "fusefs/names cmd/instarfs/options",
		"what a glob is, where it is read and where it is used"},
	{"github.com/VictoriaMetrics/metrics", "stats", "one dependency, one owner"},
	{"github.com/spf13/pflag", "cmd/instarfs cmd/instarfs/manual", "the options that cobra has"},
	{"github.com/spf13/cobra", "cmd/instarfs cmd/instarfs/manual cmd/instarfs/options",
		"one dependency, one owner"},
}

// unreachable are packages that a program must not contain, however indirectly.
var unreachable = []room{
	{"cmd/instarfs", "guest/agent guest/block guest/format guest/format/* guest/format/*/*",
		"the host could not parse an image if it wanted to"},
	{"guest/agent", "context fmt log net os syscall time",
		"what the guest does not link it cannot call: its system calls stay few"},
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

// TestRoomsImportWhatTheyMay: a package knows what its idea needs and nothing else. A permission
// that is not used is taken back.
func TestRoomsImportWhatTheyMay(t *testing.T) {
	used := map[string]bool{} // "room", "room uses package", "tests use package"
	for pkg, files := range sources(t) {
		r := roomOf(pkg)
		if r == nil {
			t.Errorf("%s is no room of the house: give it a rule and a reason", pkg)
			continue
		}
		used[r.pkg] = true
		for _, f := range files {
			for _, i := range f.imports {
				if to, ours := strings.CutPrefix(i, module); ours && (!f.test || to != pkg) {
					checkImport(t, f, r, to, used)
				}
			}
		}
	}
	for _, r := range lattice {
		if !used[r.pkg] {
			t.Errorf("there is a rule for %s, and no such package", r.pkg)
			continue
		}
		for _, p := range r.list() {
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

// checkImport checks that a file of a room may import package to, and notes which permission it
// used.
func checkImport(t *testing.T, f file, r *room, to string, used map[string]bool) {
	t.Helper()
	for _, p := range r.list() {
		if matches(to, []string{p}) {
			used[r.pkg+" uses "+p] = used[r.pkg+" uses "+p] || !f.test || r.pkg == "."
			return
		}
	}
	for _, r := range forTests {
		if f.test && matches(to, []string{r.pkg}) {
			used["tests use "+r.pkg] = true
			return
		}
	}
	t.Errorf("%s imports %s, which %s must not: %s", f.name, to, r.pkg, r.why)
}

// TestDependenciesHaveOwners: code of others has one place where it can be replaced.
func TestDependenciesHaveOwners(t *testing.T) {
	used := map[string]bool{}
	for pkg, files := range sources(t) {
		for _, f := range files {
			for _, i := range f.imports {
				if first, _, _ := strings.Cut(i, "/"); !strings.Contains(first, ".") {
					continue // ours, or the standard library's
				}
				n := slices.IndexFunc(owners, func(r room) bool {
					return i == r.pkg || strings.HasPrefix(i, r.pkg+"/")
				})
				if n < 0 {
					t.Errorf("%s imports %s: a dependency needs an owner and a reason", f.name, i)
					continue
				}
				if !matches(pkg, owners[n].list()) {
					t.Errorf("%s imports %s, which belongs to %s: %s",
						f.name, i, owners[n].uses, owners[n].why)
				}
				for _, p := range owners[n].list() {
					if matches(pkg, []string{p}) {
						used[owners[n].pkg+" in "+p] = true
					}
				}
			}
		}
	}
	for _, r := range owners {
		for _, p := range r.list() {
			if !used[r.pkg+" in "+p] {
				t.Errorf("%s belongs to %s, where nothing imports it", r.pkg, p)
			}
		}
	}
}

// TestProgramsDoNotContain follows imports as the compiler does, through the standard library too.
func TestProgramsDoNotContain(t *testing.T) {
	pkgs := sources(t)
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = "linux", "amd64", false
	imports := func(pkg string) (list []string) {
		if own, ok := strings.CutPrefix(pkg, module); ok {
			for _, f := range pkgs[own] {
				if !f.test {
					list = append(list, f.imports...)
				}
			}
			return list
		}
		for _, dir := range []string{pkg, "vendor/" + pkg} {
			p, err := ctx.ImportDir(filepath.Join(ctx.GOROOT, "src", dir), 0)
			if err == nil {
				return p.Imports
			}
		}
		return nil // a module of somebody else's: it leads to no package of ours
	}
	for _, r := range unreachable {
		from := reach(module+r.pkg, imports)
		if len(from) < 10 {
			t.Errorf("%s contains %d packages: this test sees nothing", r.pkg, len(from))
		}
		for pkg := range from {
			if !matches(strings.TrimPrefix(pkg, module), r.list()) {
				continue
			}
			way := pkg
			for p := from[pkg]; p != ""; p = from[p] {
				way = p + " -> " + way
			}
			t.Errorf("%s: %s", way, r.why)
		}
		for _, p := range r.list() {
			_, err := os.Stat(filepath.Join(ctx.GOROOT, "src", p))
			if err != nil && !slices.ContainsFunc(lattice, func(l room) bool {
				return matches(l.pkg, []string{p})
			}) {
				t.Errorf("%s must not contain %s, which does not exist", r.pkg, p)
			}
		}
	}
}

// reach returns the packages that a package imports, directly or not, each with one that imports
// it.
func reach(pkg string, imports func(string) []string) (from map[string]string) {
	from = map[string]string{pkg: ""}
	for todo := []string{pkg}; len(todo) > 0; todo = todo[1:] {
		for _, i := range imports(todo[0]) {
			if _, ok := from[i]; !ok && i != "C" {
				from[i] = todo[0]
				todo = append(todo, i)
			}
		}
	}
	return from
}

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"instarfs/needs"
)

// release is a qemu-img that the program is compared with.
type release struct {
	program string
	version string // X.Y, as --qemu-version takes it
	server  *forkServer
}

// releases returns the installed qemu-img, and those whose paths INSTARFS_QEMU_IMG lists, separated
// by colons.
var releases = sync.OnceValues(func() (list []release, err error) {
	more := filepath.SplitList(os.Getenv("INSTARFS_QEMU_IMG"))
	for _, program := range append([]string{"qemu-img"}, more...) {
		out, err := exec.Command(program, "--version").Output()
		if err != nil {
			return nil, fmt.Errorf("%s --version: %w (install qemu-utils)", program, err)
		}
		version := regexp.MustCompile(`^qemu-img version (\d+\.\d+)\.`).FindSubmatch(out)
		if version == nil {
			return nil, fmt.Errorf("%s --version: no version in %.60q", program, out)
		}
		server, err := newForkServer(program)
		if err != nil {
			return nil, err
		}
		list = append(list, release{program, string(version[1]), server})
	}
	return list, nil
})

// answer is all that comes of a run of qemu-img.
type answer struct {
	stdout, stderr string
	status         int // as a shell shows it: 128 and the number of a signal
	err            error
}

// askTime is how long qemu-img may take for one map.
const askTime = 20 * time.Second

// errNoAnswer is qemu-img that took too long or crashed, which leaves nothing to compare with.
var errNoAnswer = errors.New("no answer")

// ask runs qemu-img map in a directory.
func (r release) ask(dir string, args []string) answer {
	silent := func(why error) error {
		return fmt.Errorf("%w: qemu-img %s map %q: %w", errNoAnswer, r.version, args, why)
	}
	o, err := r.server.run(dir, append([]string{"map"}, args...), askTime)
	if err != nil {
		return answer{err: silent(err)}
	}
	a := answer{stdout: o.stdout, stderr: asWeSay(o.stderr), status: o.status.ExitStatus()}
	if negative.MatchString(o.stdout) {
		a.err = silent(errors.New("an offset is negative"))
	}
	if o.status.Signaled() {
		a.status = 128 + int(o.status.Signal())
		if o.status.Signal() != syscall.SIGABRT {
			a.err = silent(errors.New(o.status.Signal().String()))
		}
	}
	return a
}

// missingModule is what qemu-img prints where a distribution packs a part of its driver for dmg on
// its own.
var missingModule = regexp.MustCompile(`(?m)^qemu: module block-block-dmg-.* not found.*\n`)

// negative is an offset in a map that has no file: qemu-img takes some large numbers for signed
// ones.
var negative = regexp.MustCompile(`"offset": -|0x[89a-f][0-9a-f]{15}\D`)

// asWeSay turns what qemu-img printed on standard error into what we print, with our name.
func asWeSay(stderr string) string {
	names := strings.NewReplacer("qemu-img: ", "instarfs: ", "qemu-img map: ", "instarfs map: ")
	return escape(names.Replace(missingModule.ReplaceAllString(stderr, "")))
}

// escape shows what is no printable ASCII character and no end of a line as \xHH.
func escape(stderr string) string {
	var b strings.Builder
	for _, c := range []byte(stderr) {
		if c != '\n' && (c < ' ' || c > '~') {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape makes what we printed on standard error comparable: we quote the ends of lines too, and
// show some characters that are not ASCII.
func unescape(stderr string) string { return escape(strings.ReplaceAll(stderr, `\x0a`, "\n")) }

// oracle compares with every release, in a directory with a.raw, a hole of fakeSize bytes.
type oracle struct {
	dir      string
	releases []release
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	needs.Qemu(t)
	needs.Program(t, "gcc", "gcc") // for the fork server
	list, err := releases()
	if err != nil {
		t.Fatal(err)
	}
	o := &oracle{t.TempDir(), list}
	f, err := os.Create(o.dir + "/a.raw")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(fakeSize), f.Close()); err != nil {
		t.Fatal(err)
	}
	return o
}

// compare runs map with a command line, NUL between its words, by qemu-img and with a fake engine.
func (o *oracle) compare(t *testing.T, line string) {
	t.Helper()
	o.compareWith(t, newTool(), line)
}

// compareWith is compare with any engine.
func (o *oracle) compareWith(t *testing.T, ours *tool, line string) {
	t.Helper()
	var args []string
	if line != "" {
		args = strings.Split(line, "\x00")
	}
	if err := o.differs(ours, args); err != nil {
		t.Error(err)
	}
}

// differs runs map with the given words by every qemu-img, all at the same time, and by ours in the
// profile of each. The error describes the first difference; it is errNoAnswer if there was none
// but some qemu-img gave no answer.
func (o *oracle) differs(ours *tool, args []string) error {
	answers := make([]answer, len(o.releases))
	var all sync.WaitGroup
	for i, r := range o.releases {
		all.Go(func() { answers[i] = r.ask(o.dir, args) })
	}
	all.Wait()
	var silent error
	for i, want := range answers {
		if want.err != nil {
			silent = want.err
			continue
		}
		words := append([]string{"map", "--qemu-version", o.releases[i].version}, args...)
		if err := ours.says(words, want, unescape); err != nil {
			return err
		}
	}
	return silent
}

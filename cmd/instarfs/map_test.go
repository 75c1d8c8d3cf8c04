package main

import (
	"context"
	"errors"
	"math/rand"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"instarfs/cmd/instarfs/guests"
	"instarfs/cmd/instarfs/process"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/vmm/files"
)

// Mistakes come first: they are what a person meets, and nothing may be on standard output then.
func TestMapMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"":                "expecting one image file name (see 'instarfs map --help')",
		"a.raw b.raw":     "expecting one image file name (see 'instarfs map --help')",
		"-q a.raw":        "unrecognized option '-q' (see 'instarfs map --help')",
		"-Uq a.raw":       "unrecognized option '-Uq' (see 'instarfs map --help')",
		"--bogus=1 a.raw": "unrecognized option '--bogus=1' (see 'instarfs map --help')",
		"--fo raw a.raw":  "unrecognized option '--fo' (see 'instarfs map --help')",
		"--force-share=1 a.raw": "unrecognized option '--force-share=1' (see 'instarfs map " +
			"--help')",
		"a.raw -f": "missing argument for option '-f' (see 'instarfs map --help')",
		"a.raw --max-length": "missing argument for option '--max-length' (see 'instarfs " +
			"map --help')",
		"--output=xml a.raw": "--output 'xml': must be human or json",
		"-s 1e3 a.raw": "--start-offset '1e3': not a number of bytes: use digits, " +
			"0x and hexadecimal digits, or a decimal number with a suffix of k, M, G, T, P or E",
		"-l 8E a.raw": "--max-length '8E': must be between 0 and 9223372036854775807",
		"--image-opts driver=raw": "--image-opts is not supported (instarfs accepts FILENAME " +
			"directly; see docs/quirks.md)",
		"--object secret,id=s a.raw": "--object is not supported (instarfs accepts FILENAME " +
			"directly; see docs/quirks.md)",
		"--sector-size 1000 a.raw": "--sector-size '1000': must be a power of two " +
			"from 512 to 65536",
		"--sector-size 256 a.raw": "--sector-size '256': must be a power of two from 512 to 65536",
		"--map-time 0 a.raw": "--map-time '0': not a time: use a number of seconds, or " +
			"numbers with h, m, s or ms, more than 0",
		"--guest-time -1s a.raw": "--guest-time '-1s': not a time: use a number of seconds, or " +
			"numbers with h, m, s or ms, more than 0",
		"--memory 1M a.raw": "--memory '1M': must be at least 67108864",
		"--sector-size 128k a.raw": "--sector-size '128k': must be a power of two " +
			"from 512 to 65536",
		"--qemu-version 5.0 a.raw": "--qemu-version '5.0': qemu-img 5.0 is not reproduced, only " +
			"5.1 and newer are",
		"--depth 1 a.raw":          "--depth '1': must be 0, the file itself",
		"--max-depth 0 a.raw":      "--max-depth '0': must be a number from 1 to 65535",
		"--references some a.raw":  "--references 'some': must be beneath, none or any",
		"--qemu-version new a.raw": `--qemu-version 'new': "new" is not a version of the form X.Y`,
	} {
		tool := newTool()
		expectRun(t, tool, append([]string{"map"}, strings.Fields(line)...), 1, "",
			"instarfs: map: "+want+"\n")
		if tool.engine.name != "" {
			t.Errorf("%s: an engine ran", line)
		}
	}
	expectRun(t, newTool(), []string{"map", "a.raw", "-f", ""}, 1, "",
		"instarfs: map: --format '' names no format\n")
	expectRun(t, newTool(), []string{"map", ""}, 1, "", "instarfs: map: the file name is empty\n")
}

func TestMapFailures(t *testing.T) {
	tool := newTool()
	tool.engine.errs = map[string]error{
		"nope": openError{"map nope: no such file",
			"Could not open 'nope': No such file or directory", nil},
		"a\nb": errors.New("map a\nb: \x1b[31mbad"),
		"busy": openError{"map busy: in use",
			"Failed to get shared \"write\" lock\nIs another process using the image [busy]?", nil},
		"nowords": openError{"map nowords: KVM is not usable", "", nil},
		"broken": openError{"map broken: damaged", "Could not open 'broken': Invalid argument",
			[]string{"Entry 1 is damaged\n"}},
	}
	expectRun(t, tool, []string{"map", "nope"}, 1, "", "instarfs: map nope: no such file\n")
	expectRun(t, tool, []string{"map", "a\nb"}, 1, "", `instarfs: map a\x0ab: \x1b[31mbad`+"\n")
	expectRun(t, tool, []string{"map", "--qemu-version=7.2", "nope"}, 1, "",
		"instarfs: Could not open 'nope': Could not open 'nope': No such file or directory\n")
	expectRun(t, tool, []string{"map", "--qemu-version=7.2", "broken"}, 1, "",
		"instarfs: Entry 1 is damaged\ninstarfs: Could not open 'broken': Could not open "+
			"'broken': Invalid argument\n")
	expectRun(t, tool, []string{"map", "broken"}, 1, "", "instarfs: map broken: damaged\n")
	expectRun(t, tool, []string{"map", "--qemu-version=7.2", "busy"}, 1, "",
		"instarfs: Could not open 'busy': Failed to get shared \"write\" lock\nIs another "+
			"process using the image [busy]?\n")
	expectRun(t, tool, []string{"map", "--qemu-version=7.2", "nowords"}, 1, "",
		"instarfs: map nowords: KVM is not usable\n")
	if !tool.engine.closed {
		t.Error("the engine is left open")
	}
	tool.newEngine = func(sharedOptions) (engine, error) {
		return nil, errors.New("KVM is not usable: no /dev/kvm")
	}
	expectRun(t, tool, []string{"map", "a.raw"}, 1, "",
		"instarfs: map a.raw: KVM is not usable: no /dev/kvm\n")
}

func TestMapWindow(t *testing.T) {
	const dummy = `[{ "start": %, "length": 0, "depth": 0, "present": false, "zero": false, "data": false}]` + "\n"
	entry := func(start, length string) string {
		return `[{ "start": ` + start + `, "length": ` + length +
			`, "depth": 0, "present": true, "zero": true, "data": false, "compressed": false, "offset": ` + start + "}]\n"
	}
	for line, want := range map[string]string{
		"":                           entry("0", "1048576"),
		"-s 65537 -l 3":              entry("65537", "3"),
		"-s 1M -s 0 -l 1 -l 2k":      entry("0", "2048"),
		"-l 9223372036854775807":     entry("0", "1048576"),
		"-s1 -l 9223372036854775807": entry("1", "1048575"),
		"-l 0":                       `[{ "start": 0, "length": 0, "depth": 0, "present": false, "zero": false, "data": false, "compressed": false}]` + "\n",
		"--qemu-version 7.2 -s 1M":   strings.Replace(dummy, "%", "1048576", 1),
		"--qemu-version 7.2 -s 5M":   strings.Replace(dummy, "%", "5242880", 1),
		"--qemu-version 7.2 -l 0":    strings.Replace(dummy, "%", "0", 1),
		"--qemu-version 7.2 -s 1 -l 9223372036854775807": strings.Replace(dummy, "%", "1", 1),
	} {
		args := append([]string{"map", "--output=json", "a.raw"}, strings.Fields(line)...)
		expectRun(t, newTool(), args, 0, want, "")
	}
	for start, text := range map[string]string{"1M": "1048576", "5242881": "5242881"} {
		expectRun(t, newTool(), []string{"map", "a.raw", "-s", start}, 1, "",
			"instarfs: map a.raw: --start-offset "+text+
				" is at or past the end of the disk, which has 1048576 bytes\n")
	}
}

func TestMapOptionsReachTheEngine(t *testing.T) {
	tool := newTool()
	if code := tool.run("map", "-Uf", "qcow2", "a", "--sector=4k", "--out", "json", "--",
		"-s"); code != 1 {
		t.Errorf("exit %d for two names", code)
	}
	if code := tool.run("map", "-Ufqcow2", "--sector=4k", "-s0x10", "-l", "1k", "--",
		"-s"); code != 0 {
		t.Fatalf("exit %d: %s", code, tool.stderr.String())
	}
	want := mapOptions{Format: "qcow2", Window: img.Window{Start: 16, End: 16 + 1024},
		SectorSize: 4096}
	if tool.engine.asked != want || tool.engine.name != "-s" {
		t.Errorf("%+v of %q, want %+v", tool.engine.asked, tool.engine.name, want)
	}
}

// map understands what it shares with mount, see also TestMountOptions.
func TestMapSharesOptions(t *testing.T) {
	tool := newTool()
	var asked sharedOptions
	tool.newEngine = func(o sharedOptions) (engine, error) {
		asked = o
		return &tool.engine, nil
	}
	if code := tool.run("map", "-U", "--references=none", "--reference-rights", "mount",
		"--allow-dir", "a,b",
		"--allow-dir=c", "--max-depth=3", "--memory", "1G", "--guest-time=2m", "--call-time=5s",
		"--source-time", "3",
		"--compose-time=1h", "--map-time=90", "--isolation", "process", "--qemu-version=8.2.1",
		"a"); code != 0 {
		t.Fatalf("exit %d: %s", code, tool.stderr.String())
	}
	want := sharedOptions{
		Access: accessOptions{References: files.None, AllowDirs: []string{"a,b", "c"}, MaxDepth: 3,
			ForceShare: true,
			OwnRights:  true},
		Limits: guests.Limits{
			Guest: 2 * time.Minute, Call: 5 * time.Second, Source: 3 * time.Second,
			Compose: time.Hour, Map: 90 * time.Second, Memory: 1 << 30,
		},
		Release:   img.NewRelease(8, 2),
		Isolation: guests.Process,
	}
	if !reflect.DeepEqual(asked, want) || tool.engine.asked.Release != want.Release {
		t.Errorf("%+v, %+v, want %+v", asked, tool.engine.asked, want)
	}
}

// By default a name is a name; in a qemu-img profile a colon may end the name of a protocol.
func TestMapNames(t *testing.T) {
	tool := newTool()
	for name, want := range map[string]string{"x:y": "x:y", "file:x:y": "file:x:y",
		"./x:y": "./x:y"} {
		expectRun(t, tool, []string{"map", name}, 0, textHead, "")
		if tool.engine.name != want {
			t.Errorf("%s: the engine was asked for %q", name, tool.engine.name)
		}
	}
	for name, want := range map[string]string{
		"file:a.raw": "a.raw", "file:x:y": "./x:y", "./x:y": "./x:y", "d/x:y": "d/x:y",
		"file:/a:b": "/a:b",
	} {
		expectRun(t, tool, []string{"map", "--qemu-version=7.2", name}, 0, textHead, "")
		if tool.engine.name != want {
			t.Errorf("%s: the engine was asked for %q", name, tool.engine.name)
		}
	}
	for name, want := range map[string]string{
		"x:y": "Unknown protocol 'x'", "": "The 'file' block driver requires a file name",
		"file:": "The 'file' block driver requires a file name", ":": "Unknown protocol ''",
	} {
		expectRun(t, tool, []string{"map", "--qemu-version=7.2", name}, 1, "",
			"instarfs: Could not open '"+name+"': "+want+"\n")
	}
}

const textHead = "Offset          Length          Mapped to       File\n"

// walk is a map whose second extent is compressed and whose walk ended early.
func walk(t *testing.T, failed *fault.Fault, warnings ...*fault.Fault) *mapResult {
	t.Helper()
	b := extent.NewBuilder(0, 3<<16, 0)
	for _, e := range []extent.Extent{
		{Length: 65536, Offset: 327680,
			State: extent.State{Flags: extent.Present | extent.Data | extent.Offset}},
		{Length: 65536, State: extent.State{Flags: extent.Zero}},
		{Length: 65536,
			State: extent.State{Flags: extent.Present | extent.Data | extent.Compressed}},
	} {
		e.Start = b.Next()
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	res := &mapResult{VirtualSize: 3 << 16, Format: "qcow2", Failed: failed, Warnings: warnings}
	if failed != nil {
		res.Map = b.Cut([]string{"a.qcow2"})
		return res
	}
	m, err := b.Finish([]string{"a.qcow2"})
	if err != nil {
		t.Fatal(err)
	}
	res.Map = m
	return res
}

const (
	jsonRows = `[{ "start": 0, "length": 65536, "depth": 0, "present": true, "zero": false, "data": true, "offset": 327680},
{ "start": 65536, "length": 65536, "depth": 0, "present": false, "zero": true, "data": false},
`
	textRow = "0               0x10000         0x50000         a.qcow2\n"
)

func TestMapWalkThatFails(t *testing.T) {
	bad := fault.New(fault.Qcow2ZeroInV2, 0x40018, 0x40000, 3)
	corrupt := "qcow2: Image is corrupt: " + bad.Message() +
		"; further non-fatal corruption events will be suppressed\n"
	const unread = "instarfs: Could not read file metadata: Input/output error\n"
	tool := newTool()
	tool.engine.results = map[string]*mapResult{"a.qcow2": walk(t, bad)}
	expectRun(t, tool, []string{"map", "--qemu-version=7.2", "--output=json", "a.qcow2"}, 1,
		jsonRows, corrupt+unread)
	expectRun(t, tool, []string{"map", "--qemu-version=7.2", "a.qcow2"}, 1, textHead+textRow,
		corrupt+unread)
	expectRun(t, tool, []string{"map", "--output=json", "a.qcow2"}, 1, "",
		"instarfs: map a.qcow2: "+bad.Error()+"\n")
	// Of two corruptions only the first is told, and a read that failed is none.
	first := fault.New(fault.Qcow2RefblockUnaligned, 0x10000, 0x20200)
	tool.engine.results["a.qcow2"] = walk(t, bad, first)
	told := "qcow2: Image is corrupt: " + first.Message() +
		"; further non-fatal corruption events will be suppressed\n"
	expectRun(t, tool, []string{"map", "--qemu-version=7.2", "--output=json", "a.qcow2"}, 1,
		jsonRows, told+unread)
	tool.engine.results["a.qcow2"] = walk(t, fault.New(fault.DeviceRead, 0x40000))
	expectRun(t, tool, []string{"map", "--qemu-version=7.2", "--output=json", "a.qcow2"}, 1,
		jsonRows, unread)
}

func TestMapWarnings(t *testing.T) {
	w := fault.New(fault.Qcow2RefblockUnaligned, 0x10000, 0x20200)
	tool := newTool()
	tool.engine.results = map[string]*mapResult{"a.qcow2": walk(t, nil, w)}
	stdout := textHead + textRow + "0x20000         0x10000         compressed      a.qcow2\n"
	expectRun(t, tool, []string{"map", "a.qcow2"}, 0, stdout, "instarfs: map a.qcow2: warning: "+
		w.Error()+"\n")
}

// qemu-img walks no further than the extent that its table cannot show, so it meets no corruption
// behind it.
func TestMapTableThatCannotBeShown(t *testing.T) {
	tool := newTool()
	res := walk(t, nil)
	tool.engine.results = map[string]*mapResult{"a.qcow2": res}
	for _, failed := range []*fault.Fault{nil,
		fault.New(fault.Qcow2ZeroInV2, 0x40018, 0x40000, 3)} {
		res.Failed = failed
		expectRun(t, tool, []string{"map", "--qemu-version=7.2", "a.qcow2"}, 1, textHead+textRow,
			"instarfs: File contains external, encrypted or compressed clusters.\n")
	}
}

// broken is a standard output that takes nothing.
type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestMapStdoutThatFails(t *testing.T) {
	for _, tc := range []struct {
		err    error
		args   []string
		code   int
		stderr string
	}{
		{syscall.ENOSPC, nil, 1,
			"instarfs: map a.raw: write to standard output: no space left on device\n"},
		{syscall.EPIPE, nil, 1, ""},
		{syscall.ENOSPC, []string{"--qemu-version=7.2"}, 0, ""},
	} {
		tool := newTool()
		tool.env.stdout = broken{tc.err}
		expectRun(t, tool, append([]string{"map", "a.raw"}, tc.args...), tc.code, "", tc.stderr)
	}
}

func TestMapInterrupted(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143,
		syscall.SIGHUP: 129} {
		tool := newTool()
		tool.engine.block = true
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(process.SignalError{Signal: sig})
		if got := run(ctx, []string{"map", "a.raw"}, &tool.env); got != code ||
			tool.stdout.Len() > 0 {
			t.Errorf("exit %d, want %d", got, code)
		}
		if want := "instarfs: map a.raw: interrupted by signal: " + sig.String() +
			"\n"; tool.stderr.String() != want {
			t.Errorf("stderr %q, want %q", tool.stderr.String(), want)
		}
	}
}

func TestMapHelp(t *testing.T) {
	for _, args := range [][]string{{"map", "-h"}, {"map", "a", "--help"}, {"map", "-Uh", "a", "b"},
		{"help", "map"}} {
		tool := newTool()
		if code := tool.run(args...); code != 0 || tool.stderr.Len() > 0 {
			t.Errorf("%q: exit %d, stderr %q", args, code, tool.stderr.String())
		}
		for _, o := range newMapArgs().rows() {
			// --image-opts and --object are only known in order to be refused.
			if known := strings.Contains(tool.stdout.String(), "--"+
				o.Long); known != (o.Long != "image-opts" && o.Long != "object") {
				t.Errorf("%q: --%s is in the help: %t", args, o.Long, known)
			}
		}
		if !strings.Contains(tool.stdout.String(),
			"Exit status:\n    0  the map is printed\n    1 ") {
			t.Errorf("%q tells no exit status: %s", args, tool.stdout.String())
		}
	}
}

// TestMapAgainstQemuImg compares command lines with the installed qemu-img.
func TestMapAgainstQemuImg(t *testing.T) {
	o := newOracle(t)
	for _, line := range []string{
		"", "a.raw", "a.raw a.raw", "-q a.raw", "a.raw -q", "-Uq a.raw", "--bogus a.raw",
		"--bogus=1 a.raw", "-f", "a.raw -f",
		"-Uf", "--format", "a.raw --max-length", "--output", "--output=xml a.raw",
		"--output= a.raw", "--output=xml",
		"--output=json --output=xml a.raw", "--output=xml --output=json a.raw",
		"--output=xml -s 1e3 a.raw", "a.raw --out json",
		"--out=human a.raw", "--o=json a.raw", "--f a.raw", "--fo raw a.raw", "--form raw a.raw",
		"--start 0 a.raw", "--m 5 a.raw --out=json",
		"-fraw a.raw", "-Ufraw a.raw", "-Uf raw a.raw", "--force a.raw", "--force-share=1 a.raw",
		"--image-opts=1 a.raw", "--=x a.raw",
		"-s 1e3", "-s 1e3 a.raw b", "a.raw -s 9e9 -q", "-q -s 1e3 a.raw", "-s -5 a.raw",
		"--max-length -5 a.raw",
		"-l 5 -l zz a.raw", "-l 8E a.raw", "-s 0x1k a.raw --output=json",
		"-s .5k a.raw --output=json",
		"--s a.raw", "--st", "--output=xml -q", "-q --output=xml", "--form", "--o a.raw",
		"--force-s --help=1", "-s1e3 --output=xml", "--output=xml -s1e3", "-l -0 a.raw",
		"--ma=-5k a.raw", "-s 0x1k -s zz a.raw", "-s 0x1k -l 0x1p3 a.raw",
		"--image-opts -f raw a.raw", "--image-opts -f raw --output xml a.raw", "x:y", "nbd0:y",
		"file:a.raw", "a.raw --", "-- a.raw", "--",
		"a.raw -- -U", "--output=json -s 1M a.raw", "--output=json -s 5M -l 1 a.raw",
		"--output=json -l 0 a.raw",
		"--output=json -s 1023k -l 1G a.raw", "--output=json -s 1 -l 9223372036854775807 a.raw",
		"-: a.raw", "-U: a.raw", "-?",
	} {
		o.compare(t, strings.Join(strings.Fields(line), "\x00"))
	}
	o.compare(t, "\x00")   // two empty names
	o.compare(t, "--\x00") // one
}

// TestRandomLinesAgainstQemuImg compares random command lines, most of them with a mistake or two.
func TestRandomLinesAgainstQemuImg(t *testing.T) {
	o := newOracle(t)
	t.Chdir(o.dir)
	rng := rand.New(rand.NewSource(10))
	words := []string{
		"a.raw", "a.raw", "a.raw", "a.raw", "b", "-", "--", "-f", "raw", "-fraw", "-fqcow9",
		"--format=raw",
		"--form", "--fo=raw", "--f", "--output", "json", "xml", "--output=json", "--output=human",
		"--output=xml", "--out=json", "--o=json", "-s", "-s1", "-s1e3", "--start-offset=1k", "--st",
		"--s=5",
		"-l", "-l0", "-l-1", "--max-length=0x1k", "--ma=.5k", "5", "-U", "--force-share",
		"--force-share=1",
		"-q", "-Uq", "-Uf", "-:", "--bogus", "--bogus=1", "--=", "-Us", "-Ul5",
	}
	for range 600 {
		var line []string
		for range 1 + rng.Intn(5) {
			line = append(line, words[rng.Intn(len(words))])
		}
		o.compareWith(t, walkedTool(), strings.Join(line, "\x00"))
	}
}

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// result is what one line has reached.
type result struct {
	goal
	carrier     string
	ours, peer  string
	value       float64
	withoutGoal bool // for information
}

// report gathers the results.
type report struct{ results []result }

func (r *report) add(x result) {
	r.results = append(r.results, x)
	fmt.Fprintf(os.Stderr, "bench: %-7s %-2s %s: %.3g %s\n",
		x.carrier, x.line, x.what, x.value, x.unit)
}

// compare adds a line whose value is a ratio of times.
func (r *report) compare(g goal, carrier string, ours, peer times) {
	value := ours.median().Seconds() / peer.median().Seconds()
	if !g.most {
		value = 1 / value
	}
	r.add(result{goal: g, carrier: carrier, ours: ours.String(), peer: peer.String(), value: value})
}

// short reports whether a goal is missed.
func (r *report) short() bool {
	for _, x := range r.results {
		if !x.withoutGoal && !x.met(x.value) {
			return true
		}
	}
	return false
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Benchmarks

Written by `+"`make bench`"+` on %s, which compares with the installed qemu-img
in the same run, in turns. Times are medians, of whole processes from start to end unless a line says
otherwise, with the shortest and the longest in brackets; the ratios are what counts. Before anything
is measured, memory is touched and freed: a hypervisor gives a machine its memory when it is touched
first, which takes longer than what is measured, and the peer, which writes to /dev/null, touches
none. Where a goal is missed, floors.md says where the time goes.

Machine: %s. Peer: %s.

| line | what | carrier | instarfs | peer | reached | goal | |
| --- | --- | --- | --- | --- | --- | --- | --- |
`, time.Now().Format(time.DateOnly), machine(), qemuVersion())
	for _, x := range r.results {
		bound, verdict := "at least", "ok"
		if x.most {
			bound = "at most"
		}
		wanted := fmt.Sprintf("%s %g", bound, x.limit)
		switch {
		case x.withoutGoal:
			wanted, verdict = "", ""
		case !x.met(x.value):
			verdict = "**short**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.3g %s | %s | %s |\n",
			x.line, x.what, x.carrier, x.ours, x.peer, x.value, x.unit, wanted, verdict)
	}
	return b.String()
}

func machine() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return fmt.Sprintf("%d CPUs (%s), Linux %s, %s", runtime.NumCPU(), cpuModel(),
		unix.ByteSliceToString(u.Release[:]), runtime.Version())
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, model, ok := strings.Cut(s.Text(), ":"); ok &&
			strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return "unknown"
}

func qemuVersion() string {
	out, err := exec.Command("qemu-img", "--version").Output()
	if err != nil {
		return "no qemu-img"
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}

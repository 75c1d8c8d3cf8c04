package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// report is the table of results.
type report struct {
	rows, notes []string
}

func newReport() *report { return &report{} }

// row compares the times of instarfs with those of a peer.
func (r *report) row(what string, ours times, peer string, theirs times) {
	ratio := theirs.median().Seconds() / ours.median().Seconds()
	verdict := fmt.Sprintf("%.1f times as fast", ratio)
	if ratio < 1 {
		verdict = fmt.Sprintf("%.1f times the time", 1/ratio)
	}
	r.rows = append(r.rows, fmt.Sprintf("| %s | %s | %s: %s | **%s** |", what, ours, peer, theirs,
		verdict))
}

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nWritten by `make bench`, which compares with the installed " +
		"qemu-img in the same run. " +
		"Times are medians of whole processes,\nstart to end, unless a row says otherwise, " +
		"with the shortest and the longest in brackets; the ratios are what counts.\n\n")
	fmt.Fprintf(&b, "Machine: %s. Peer: %s.\n\n", machine(), qemuVersion())
	b.WriteString("| what | instarfs | peer | ratio |\n| --- | --- | --- | --- |\n")
	for _, row := range r.rows {
		b.WriteString(row + "\n")
	}
	for _, n := range r.notes {
		b.WriteString("\n" + n + "\n")
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

package main

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"instarfs/needs"
	"instarfs/stats"
)

// statusFile reads what a mount says of itself.
func (s *server) statusFile() (st stats.Status) {
	s.t.Helper()
	s.decode("status.json", &st)
	return st
}

func (s *server) decode(report string, to any) {
	s.t.Helper()
	d := json.NewDecoder(strings.NewReader(s.read(".instarfs/" + report)))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		s.t.Fatalf("%s: %v", report, err)
	}
}

// TestStatus: what a mount says of itself is what was done with it, and no listing shows it.
func TestStatus(t *testing.T) {
	source := smallSource(t)
	const hostile = "evil\x1b[31m\n.qcow2"
	damaged := "QFI\xfb\x00\x00\x00\x03" + strings.Repeat("\xff", 500)
	for _, name := range []string{hostile, "bad.qcow2"} {
		if err := os.WriteFile(filepath.Join(source, name), []byte(damaged), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(source, ".instarfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := serve(t, source, "--cache-bytes=32M", "--exclude=*.x", "--exclude=*.y")
	if out := s.bash(`ls -A $M | grep instarfs; find $M -name .instarfs`); out != "" {
		t.Errorf("a listing shows: %s", out)
	}
	for range 2 {
		s.read("a.qcow2.map.json")
	}
	for _, name := range []string{hostile, "bad.qcow2"} {
		if _, err := os.ReadFile(s.path(name + ".map.json")); err == nil {
			t.Errorf("%q has a map", name)
		}
	}
	held := s.hold("a.qcow2.map.txt")
	st := s.statusFile()
	if st.PID != s.cmd.Process.Pid || st.Source != source || st.Mountpoint != s.dir ||
		st.Options["cache-bytes"] != "32M" || st.Options["exclude"] != "*.x,*.y" ||
		st.Cache.Limit != 32<<20 || st.Cache.Bytes == 0 || st.Cache.Hits == 0 ||
		st.Cache.Misses == 0 || st.OpenFiles != 1 || st.Memory.Limit == 0 {
		t.Errorf("%+v", st)
	}
	if st.Carrier != "kvm" && st.Carrier != "process" {
		t.Errorf("carried by %q", st.Carrier)
	}
	if st.Runs.Done < 1 || st.Runs.Failed < 2 || st.Images.WithoutMap != 2 ||
		st.Images.Mapped < 2 {
		t.Errorf("%+v, %+v", st.Runs, st.Images)
	}
	held.letGo()
	var failures []stats.Failure
	s.decode("errors.json", &failures)
	slices.SortFunc(failures, func(a, b stats.Failure) int { return cmp.Compare(a.Image, b.Image) })
	if len(failures) != 2 || failures[0].Image != "bad.qcow2" || failures[0].Errno != "EIO" ||
		!strings.Contains(failures[0].Reason, "bad.qcow2") || failures[0].Since.IsZero() ||
		failures[1].Image != `evil\x1b[31m\x0a.qcow2` ||
		strings.ContainsAny(failures[1].Reason, "\x1b\n") {
		t.Errorf("%+v", failures)
	}
	human, _ := child(realChild, "status", s.dir).CombinedOutput()
	for _, want := range []string{"mount    " + source + " at " + s.dir + "\n",
		"options  cache-bytes=32M exclude=*.x,*.y", "error    E"} {
		if !strings.Contains(string(human), want) {
			t.Errorf("%q is missing in:\n%s", want, human)
		}
	}
	// An image that is gone, or has a map by now, is no failure any more.
	if err := os.Remove(filepath.Join(source, hostile)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "bad.qcow2"), variant(2), 0o644); err != nil {
		t.Fatal(err)
	}
	s.read("bad.qcow2.map.json")
	if st := s.statusFile(); st.Images.WithoutMap != 0 || len(st.Errors) != 0 {
		t.Errorf("%+v, %+v", st.Images, st.Errors)
	}
	s.checkMetrics()
}

// checkMetrics checks the metrics line by line against the text format of Prometheus.
func (s *server) checkMetrics() {
	s.t.Helper()
	line := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]+="[^"\\\n]*",?( )?)+\})? [-+0-9.e]+$`)
	text := s.read(".instarfs/metrics")
	for l := range strings.Lines(text) {
		if l = strings.TrimSuffix(l, "\n"); !line.MatchString(l) && !strings.HasPrefix(l, "#") {
			s.t.Errorf("no metric: %q", l)
		}
	}
	for _, want := range []string{"\ninstarfs_runs_total{carrier=", `format="qcow2",outcome="ok"} `,
		"outcome=\"damaged image\"} 2\n", "\ninstarfs_run_seconds_count{",
		"\ninstarfs_open_files 0\n", "\ninstarfs_cache_evictions_total 0\n",
		"\ninstarfs_cache_hits_total "} {
		if !strings.Contains(text, want) {
			s.t.Errorf("%q is missing in the metrics:\n%.2000s", want, text)
		}
	}
}

// TestStatusOfOthers: who may not see the images is not told their names.
func TestStatusOfOthers(t *testing.T) {
	needs.Root(t)
	source := smallSource(t)
	openTo(t, source)
	dir := t.TempDir()
	openTo(t, dir)
	s := serveAt(t, source, dir, "--allow-other")
	for _, report := range []string{"status.json", "errors.json"} {
		out, _ := as(ann, "cat", s.path(".instarfs/"+report)).CombinedOutput()
		if !strings.Contains(string(out), "Permission denied") {
			t.Errorf("%s: %s", report, out)
		}
	}
	out, _ := as(ann, "cat", s.path(".instarfs/metrics")).CombinedOutput()
	if !strings.Contains(string(out), "\ninstarfs_runs_now ") {
		t.Errorf("metrics: %s", out)
	}
	if out := s.bash(`: >$M/.instarfs/metrics; touch $M/.instarfs/x; rm $M/.instarfs/metrics`); strings.Count(
		out, "Read-only file system") != 3 {
		t.Errorf("writes: %s", out)
	}
}

// TestStatusOfNothing: where no instarfs is mounted, status says so.
func TestStatusOfNothing(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/proc", "/nowhere"} {
		cmd := child(realChild, "status", dir)
		out, _ := cmd.CombinedOutput()
		want := "instarfs: status " + dir + ": no instarfs is mounted there (findmnt -t " +
			"fuse.instarfs lists those that are)\n"
		if string(out) != want || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%s: %v, %s", dir, cmd.ProcessState, out)
		}
	}
}

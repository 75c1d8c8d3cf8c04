package stats

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRuns(t *testing.T) {
	s := New()
	one, two := s.Begin(), s.Begin()
	s.Begin()
	one("kvm", "qcow2", "ok")
	two("process", "vhd", "time limit")
	var got Status
	if s.Fill(&got); got.Runs != (Runs{1, 1, 1}) || got.Guests.Busy != 1 {
		t.Errorf("%+v", got)
	}
	s.Gauge("instarfs_cache_bytes", func() float64 { return 42 })
	var b strings.Builder
	s.WriteMetrics(&b)
	for _, want := range []string{
		"instarfs_maps_total 0\n", "instarfs_runs_now 1\n", "instarfs_cache_bytes 42\n",
		`instarfs_runs_total{carrier="kvm",format="qcow2",outcome="ok"} 1` + "\n",
		`instarfs_runs_total{carrier="process",format="vhd",outcome="time limit"} 1` + "\n",
		`instarfs_run_seconds_bucket{carrier="kvm",le="+Inf"} 1` + "\n",
		"process_resident_memory_bytes ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, b.String())
		}
	}
}

func TestFailures(t *testing.T) {
	s := New()
	at := time.Unix(100, 0)
	s.Failed(Failure{"a", "EIO", "damaged", at})
	s.Failed(Failure{"a", "EIO", "damaged", at.Add(1)}) // the same since then
	s.Failed(Failure{"b", "EACCES", "not yours", at.Add(2)})
	s.Failed(Failure{"c", "EIO", "damaged", at.Add(3)})
	s.Mapped("c")
	got := s.Failures()
	if len(got) != 2 || got[0].Image != "b" || got[1].Since != at {
		t.Errorf("%+v", got)
	}
	for i := range 2 * MaxFailures {
		s.Failed(Failure{Image: fmt.Sprint(i)})
	}
	var status Status
	s.Fill(&status)
	if want := (Images{1, MaxFailures, MaxFailures + 2}); status.Images != want {
		t.Errorf("%+v", status.Images)
	}
	if len(status.Errors) != shownErrors {
		t.Errorf("%d errors are shown", len(status.Errors))
	}
}

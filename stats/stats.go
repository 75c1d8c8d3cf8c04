// Package stats counts what a mount does, for people and for Prometheus. It knows of runs, images
// and errors, and not where they come from. A Stats is safe for concurrent use.
package stats

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Stats are the counts of one mount.
type Stats struct {
	set *metrics.Set

	mu     sync.Mutex // guards what follows
	runs   Runs
	mapped int64
	errors map[string]Failure
	lost   int64
}

// Runs are the runs of guests so far.
type Runs struct {
	Done   int64 `json:"done"`   // that ended with a map
	Failed int64 `json:"failed"` // that ended otherwise
	Now    int64 `json:"now"`    // under way
}

// Failure is why an image has no map.
type Failure struct {
	Image  string    `json:"image"` // path below the source
	Errno  string    `json:"errno"` // what open(2) of its map says: EIO; empty if it is not shown
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// MaxFailures is how many images without a map are remembered.
const MaxFailures = 4096

// New returns counts that are all zero.
func New() *Stats { return &Stats{set: metrics.NewSet(), errors: map[string]Failure{}} }

// Gauge adds a value to the metrics that is asked for when it is needed. name is that of a metric
// in the text format of Prometheus.
func (s *Stats) Gauge(name string, value func() float64) { s.set.NewGauge(name, value) }

// seconds are the upper bounds of the histogram of run times.
var seconds = []float64{0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30}

// OK is the outcome of a run that ended with a map.
const OK = "ok"

// Begin counts a run that begins. done must be called when it ends: format is what the image turned
// out to be, or what it was taken for; outcome is OK, or says in few words how the run failed.
func (s *Stats) Begin() (done func(carrier, format, outcome string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs.Now++
	begun := time.Now()
	return func(carrier, format, outcome string) {
		took := time.Since(begun)
		s.mu.Lock()
		s.runs.Now--
		if outcome == OK {
			s.runs.Done++
		} else {
			s.runs.Failed++
		}
		s.mu.Unlock()
		s.set.GetOrCreateCounter(fmt.Sprintf("instarfs_runs_total{carrier=%q,format=%q,outcome=%q}",
			carrier, format, outcome)).Inc()
		s.set.GetOrCreatePrometheusHistogramExt(
			fmt.Sprintf("instarfs_run_seconds{carrier=%q}", carrier), seconds).
			Update(took.Seconds())
	}
}

// Mapped notes that an image has a map.
func (s *Stats) Mapped(image string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mapped++
	delete(s.errors, image)
}

// Gone notes that an image is no more.
func (s *Stats) Gone(image string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.errors, image)
}

// Failed notes why an image has no map.
func (s *Stats) Failed(f Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.errors[f.Image]
	switch {
	case known && old.Reason == f.Reason:
		return
	case !known && len(s.errors) >= MaxFailures:
		s.lost++
		return
	}
	s.errors[f.Image] = f
}

// Fill sets what s counts in a status.
func (s *Stats) Fill(to *Status) {
	s.mu.Lock()
	to.Runs = s.runs
	to.Guests.Busy = s.runs.Now
	to.Images = Images{s.mapped, len(s.errors), s.lost}
	s.mu.Unlock()
	all := s.Failures()
	to.Errors = all[:min(len(all), shownErrors)]
}

// Failures returns the images that have no map, the newest first.
func (s *Stats) Failures() []Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.AppendSeq(make([]Failure, 0, len(s.errors)), maps.Values(s.errors)) // never nil
	slices.SortFunc(all, func(a, b Failure) int {
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.Image, b.Image))
	})
	return all
}

// WriteMetrics writes all counts in the text format of Prometheus, those of the process included.
func (s *Stats) WriteMetrics(w io.Writer) {
	s.mu.Lock()
	fmt.Fprintf(w, "instarfs_maps_total %d\ninstarfs_images_without_map %d\ninstarfs_runs_now %d\n",
		s.mapped, len(s.errors), s.runs.Now)
	s.mu.Unlock()
	s.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}

package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/cmd/instarfs/guests"
	"instarfs/fusefs"
	"instarfs/fusefs/report"
	"instarfs/guest/show"
	"instarfs/stats"
	"instarfs/vmm/chain"
	"instarfs/vmm/source"
)

// state is what a mount can say of itself.
type state struct {
	*stats.Stats
	options Options
	since   time.Time
	pool    guests.Pool
	engine  *chain.Engine
	limits  chain.Limits
	images  *source.Source
	mounted atomic.Pointer[fusefs.Mounted] // nil until it is mounted
}

// outcome implements fusefs.Outcome.
func (s *state) outcome(image string, errno syscall.Errno, err error) {
	if err == nil {
		s.Mapped(image)
		return
	}
	name := ""
	if errno != 0 {
		name = unix.ErrnoName(errno)
	}
	s.Failed(stats.Failure{
		Image: image, Errno: name, Reason: show.Line(err.Error()),
		Since: time.Now().Truncate(time.Millisecond),
	})
}

// reports are the files of the directory .instarfs.
func (s *state) reports() []report.Report {
	return []report.Report{
		{Name: stats.StatusFile, Private: true, Text: func() []byte { return encoded(s.status()) }},
		{Name: "errors.json", Private: true, Text: func() []byte { return encoded(s.failures()) }},
		{Name: "metrics", Text: s.metrics},
	}
}

// encoded returns v as JSON. Nothing in it can be without one.
func encoded(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return []byte("{}\n")
	}
	return b.Bytes()
}

func (s *state) status() stats.Status {
	s.forgetTheVanished()
	kept := s.engine.Kept()
	st := stats.Status{
		Version: s.options.Version, PID: os.Getpid(), Since: s.since,
		Source: show.Line(s.options.Source), Mountpoint: show.Line(s.options.Mountpoint),
		Carrier: s.pool.Carrier(), Options: s.options.Given,
		Guests: stats.Guests{Ready: s.pool.Ready()},
		Cache: stats.Cache{Bytes: kept.Bytes, Limit: kept.Limit, Maps: kept.Maps,
			Hits: kept.Hits, Misses: kept.Misses, Evictions: kept.Evictions},
		Memory:    stats.Memory{Bytes: s.limits.Memory.Used(), Limit: s.limits.Memory.Limit()},
		OpenFiles: s.openFiles(),
	}
	s.Fill(&st)
	for i := range st.Errors {
		st.Errors[i].Image = show.Line(st.Errors[i].Image)
	}
	return st
}

func (s *state) openFiles() int64 {
	if m := s.mounted.Load(); m != nil {
		return m.Handles()
	}
	return 0
}

func (s *state) failures() []stats.Failure {
	s.forgetTheVanished()
	all := s.Failures()
	for i := range all {
		all[i].Image = show.Line(all[i].Image)
	}
	return all
}

// lookTime bounds how long a report waits for the source.
const lookTime = time.Second

// forgetTheVanished drops the failures of images that are gone, of which nobody will ask again.
func (s *state) forgetTheVanished() {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	for _, f := range s.Failures() {
		if s.vanished(ctx, f) {
			s.Gone(f.Image)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func (s *state) vanished(ctx context.Context, f stats.Failure) bool {
	if f.Errno != "" {
		_, err := s.images.Stat(ctx, nil, f.Image)
		return errors.Is(err, unix.ENOENT)
	}
	list, err := s.images.ReadDir(ctx, nil, path.Dir(f.Image))
	hidden := slices.ContainsFunc(list, func(e source.DirEntry) bool {
		return e.Name == path.Base(f.Image) &&
			(e.Hidden != "" || e.Type == unix.S_IFLNK && e.Info.LinkType == 0)
	})
	return errors.Is(err, unix.ENOENT) || err == nil && !hidden
}

func (s *state) metrics() []byte {
	var b bytes.Buffer
	s.WriteMetrics(&b)
	return b.Bytes()
}

// gauges adds what the metrics have of the engine and the mount.
func (s *state) gauges() {
	kept := func(f func(chain.Kept) int64) func() float64 {
		return func() float64 { return float64(f(s.engine.Kept())) }
	}
	for name, value := range map[string]func() float64{
		"instarfs_cache_bytes":           kept(func(k chain.Kept) int64 { return k.Bytes }),
		"instarfs_cache_limit_bytes":     kept(func(k chain.Kept) int64 { return k.Limit }),
		"instarfs_cache_maps":            kept(func(k chain.Kept) int64 { return int64(k.Maps) }),
		"instarfs_cache_hits_total":      kept(func(k chain.Kept) int64 { return k.Hits }),
		"instarfs_cache_misses_total":    kept(func(k chain.Kept) int64 { return k.Misses }),
		"instarfs_cache_evictions_total": kept(func(k chain.Kept) int64 { return k.Evictions }),
		"instarfs_memory_bytes":          func() float64 { return float64(s.limits.Memory.Used()) },
		"instarfs_memory_limit_bytes": func() float64 {
			return float64(s.limits.Memory.Limit())
		},
		"instarfs_guests_ready": func() float64 { return float64(s.pool.Ready()) },
		"instarfs_open_files":   func() float64 { return float64(s.openFiles()) },
	} {
		s.Gauge(name, value)
	}
}

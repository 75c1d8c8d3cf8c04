// Package status prints what a mount says of itself.
package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"instarfs/guest/show"
	"instarfs/stats"
)

// Print prints the status of the mount at point: for people, or as it is.
func Print(w io.Writer, point string, asJSON bool) error {
	status, err := read(point)
	if err != nil {
		return fmt.Errorf("status %s: %w", point, err)
	}
	if !asJSON {
		var s stats.Status
		if err := json.Unmarshal(status, &s); err != nil {
			return fmt.Errorf("status %s: what the mount says is no status: %w", point, err)
		}
		status = []byte(show.Lines(text(s, time.Now())))
	}
	if _, err := w.Write(status); err != nil {
		return fmt.Errorf("status: write to standard output: %w", err)
	}
	return nil
}

// maxStatus is more than a status has bytes.
const maxStatus = 1 << 20

func read(point string) ([]byte, error) {
	f, err := os.Open(filepath.Join(point, ".instarfs", stats.StatusFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("no instarfs is mounted there (findmnt -t fuse.instarfs lists " +
			"those that are)")
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("only root and the user who mounted may see its status")
	case err != nil:
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxStatus))
}

// text is a status for people.
func text(s stats.Status, now time.Time) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("mount", "%s at %s", s.Source, s.Mountpoint)
	row("process", "%d, instarfs %s, for %s", s.PID, s.Version, elapsed(now.Sub(s.Since)))
	var given []string
	for _, name := range slices.Sorted(maps.Keys(s.Options)) {
		given = append(given, name+"="+s.Options[name])
	}
	if len(given) > 0 {
		row("options", "%s", strings.Join(given, " "))
	}
	row("guests", "%s, %d at work, %d ready", s.Carrier, s.Guests.Busy, s.Guests.Ready)
	row("runs", "%d done, %d failed", s.Runs.Done, s.Runs.Failed)
	row("maps", "%d served, %d images have none", s.Images.Mapped,
		int64(s.Images.WithoutMap)+s.Images.Forgotten)
	row("cache", "%d maps, %s of %s; %d hits, %d misses, %d evictions", s.Cache.Maps,
		binarySize(s.Cache.Bytes), binarySize(s.Cache.Limit), s.Cache.Hits, s.Cache.Misses,
		s.Cache.Evictions)
	row("memory", "%s of %s", binarySize(s.Memory.Bytes), binarySize(s.Memory.Limit))
	row("files", "%d open", s.OpenFiles)
	for _, f := range s.Errors {
		row("error", "%s, since %s", strings.TrimSpace(f.Errno+" "+f.Reason),
			f.Since.Local().Format(time.DateTime))
	}
	_ = t.Flush() // to a strings.Builder
	return b.String()
}

// elapsed is a time in its two largest units, as in 3d 4h.
func elapsed(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = d.Truncate(time.Second); {
	case d < time.Hour:
		return d.String()
	case d < day:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd %dh", d/day, d%day/time.Hour)
}

// binarySize is a number of bytes in the largest unit of which there is one.
func binarySize(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f /= 1 << 10; f < 1<<10 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

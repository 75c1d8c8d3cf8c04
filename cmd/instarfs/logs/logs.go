// Package logs writes the log of a mount: lines for people, with priorities where journald reads
// them, or JSON for programs.
package logs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"

	"instarfs/guest/show"
)

// Options say what is logged, and how. The zero value is lines of level info and above.
type Options struct {
	JSON  bool
	Level slog.Level // and all that is more important
}

// New makes a log that writes to w.
func New(w *Output, o Options) *slog.Logger {
	if o.JSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: o.Level}))
	}
	return slog.New(&lines{to: w, level: o.Level})
}

// lines is a handler for messages without attributes.
type lines struct {
	level slog.Level
	to    *Output
}

// Enabled implements slog.Handler.
func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= l.level }

// WithAttrs implements slog.Handler. Messages here say all in words.
func (l *lines) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *lines) WithGroup(string) slog.Handler { return l }

// Handle implements slog.Handler. Only a panic has more than one line.
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	priorities, prefix := l.to.Priorities(), "instarfs: "
	for line := range strings.Lines(show.Lines(r.Message)) {
		if priorities {
			fmt.Fprintf(&b, "<%d>", priority(r.Level))
		}
		b.WriteString(prefix + strings.TrimSuffix(line, "\n") + "\n")
		prefix = ""
	}
	_, err := io.WriteString(l.to, b.String())
	return err
}

// priority is a level in terms of syslog(3).
func priority(level slog.Level) int {
	switch {
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 4
	case level >= slog.LevelInfo:
		return 6
	}
	return 7
}

// Output is a writer that can be replaced by another one. It is safe for concurrent use.
type Output struct {
	mu         sync.Mutex
	to         io.Writer
	priorities bool
}

// NewOutput returns an output that writes to w. priorities says that who reads it wants each line
// to begin with its priority, as journald does (sd-daemon(3)).
func NewOutput(w io.Writer, priorities bool) *Output {
	return &Output{to: w, priorities: priorities}
}

// Set replaces the writer.
func (o *Output) Set(w io.Writer, priorities bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to, o.priorities = w, priorities
}

// Priorities reports whether lines begin with their priorities.
func (o *Output) Priorities() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.priorities
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to.Write(p)
}

// ToJournal reports whether journald reads what is written to a file: JOURNAL_STREAM says which one
// that is (systemd.exec(5)).
func ToJournal(f *os.File) bool {
	stream := os.Getenv("JOURNAL_STREAM")
	info, err := f.Stat()
	if stream == "" || err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// Package logger passes lines to a log that may be slow, without ever making the caller wait:
// whoever reads the log may be waiting for the mount. All text is made fit to be shown.
package logger

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"instarfs/guest/show"
)

const (
	// logQueue is how many lines may wait for a slow log before lines are dropped and counted.
	logQueue = 256
	// logMemory is how many subjects are remembered. When it is full it starts afresh: a line too
	// many now and then is better than memory that grows with the tree.
	logMemory = 8192
	// logFlush bounds the wait for a stuck log at the end.
	logFlush = time.Second
)

// Logger writes lines in the background. It is safe for concurrent use.
type Logger struct {
	lines chan string
	lost  atomic.Int64
	done  chan struct{}

	mu   sync.Mutex
	said map[string][2]uint64
}

// New makes a logger. One goroutine calls write, with one line at a time and without its end; only
// a panic has more lines. Close must be called at the end.
func New(write func(line string)) *Logger {
	l := &Logger{
		lines: make(chan string, logQueue), done: make(chan struct{}),
		said: map[string][2]uint64{},
	}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			if line == "" {
				return
			}
			write(line)
			if n := l.lost.Swap(0); n > 0 {
				write(fmt.Sprintf("%d log lines were dropped: the log is too slow", n))
			}
		}
	}()
	return l
}

// Printf logs one line, fit to be shown.
func (l *Logger) Printf(format string, args ...any) {
	l.put(show.Line(fmt.Sprintf(format, args...)))
}

// put passes text on, which is fit to be shown.
func (l *Logger) put(text string) {
	select {
	case l.lines <- text:
	default:
		l.lost.Add(1)
	}
}

// Once logs a line unless the last one about the same subject had the same generation.
func (l *Logger) Once(subject string, g [2]uint64, line string) {
	l.mu.Lock()
	last, ok := l.said[subject]
	if !ok || last != g {
		if len(l.said) >= logMemory {
			clear(l.said)
		}
		l.said[subject] = g
	}
	l.mu.Unlock()
	if !ok || last != g {
		l.Printf("%s", line)
	}
}

// Panicked logs a panic that was recovered, with its stack: it is a bug of this program.
func (l *Logger) Panicked(doing string, p any) {
	l.put(show.Line(fmt.Sprintf("panic while %s: %v", doing, p)) + "\n" +
		show.Lines(string(debug.Stack())))
}

// Close waits until the lines that wait are written, for at most a second.
func (l *Logger) Close() {
	timeout := time.After(logFlush)
	select {
	case l.lines <- "": // the last one; the channel stays open for handlers that still end
	case <-timeout:
		return
	}
	select {
	case <-l.done:
	case <-timeout:
	}
}

// Write logs a line that ends in a newline, as package log of the standard library writes it.
func (l *Logger) Write(p []byte) (int, error) {
	if n := len(p); n > 1 {
		l.Printf("%s", p[:n-1])
	}
	return len(p), nil
}

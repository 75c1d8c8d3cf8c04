package fusefs

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
	// logMemory is how many things are remembered as already said. When it is full it starts afresh: a line too many now and
	// then is better than memory that grows with the tree.
	logMemory = 8192
	// logFlush bounds the wait for a stuck log at the end.
	logFlush = time.Second
)

// logger passes lines to the writer that the mount was given, without ever making a handler wait for it.
type logger struct {
	lines chan string
	lost  atomic.Int64
	done  chan struct{}

	mu   sync.Mutex
	said map[string]Generation
}

func newLogger(write func(line string)) *logger {
	l := &logger{lines: make(chan string, logQueue), done: make(chan struct{}), said: map[string]Generation{}}
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

// printf logs one line, fit to be shown.
func (l *logger) printf(format string, args ...any) {
	l.put(show.Line(fmt.Sprintf(format, args...)))
}

// put passes text on, which is fit to be shown.
func (l *logger) put(text string) {
	select {
	case l.lines <- text:
	default:
		l.lost.Add(1)
	}
}

// once logs a line unless the last one about the same subject was of the same generation.
func (l *logger) once(subject string, g Generation, line string) {
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
		l.printf("%s", line)
	}
}

// panicked logs a panic that was recovered. It is a bug of this program, so all lines of the stack
// are of use.
func (l *logger) panicked(doing string, p any) {
	l.put(show.Line(fmt.Sprintf("panic while %s: %v", doing, p)) + "\n" + show.Lines(string(debug.Stack())))
}

// close lets the lines that wait be written, for a while.
func (l *logger) close() {
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

// Write takes what go-fuse logs.
func (l *logger) Write(p []byte) (int, error) {
	if n := len(p); n > 1 {
		l.printf("%s", p[:n-1])
	}
	return len(p), nil
}

// Package progress tells people that something takes its time.
package progress

import (
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"instarfs/guest/show"
)

const (
	delay = time.Second // what is done before then needs no progress
	every = 250 * time.Millisecond
	// width bounds what is said, in characters: a line that wraps cannot be overwritten.
	width     = 60
	clearLine = "\r\x1b[K"
)

// Tell tells on a terminal that something takes its time, in a line that updates itself. The
// function it returns ends that and leaves the terminal as it was.
func Tell(terminal io.Writer, what string) (stop func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick(terminal, shorten(show.Line(what)), done)
	}()
	return func() {
		close(done)
		<-gone
	}
}

func tick(terminal io.Writer, what string, done <-chan struct{}) {
	start := time.Now()
	next := time.NewTimer(delay)
	defer next.Stop()
	for shown := false; ; shown = true {
		select {
		case <-done:
			if shown {
				_, _ = io.WriteString(terminal, clearLine)
			}
			return
		case <-next.C:
			_, _ = fmt.Fprintf(terminal, "%sinstarfs: %s, %d s", clearLine, what,
				int(time.Since(start).Seconds()))
			next.Reset(every)
		}
	}
}

// shorten cuts the middle out of a text that is too long.
func shorten(s string) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	half := (width - 3) / 2
	return string(r[:half]) + "..." + string(r[len(r)-half:])
}

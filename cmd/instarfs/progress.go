package main

import (
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"instarfs/guest/show"
)

const (
	progressDelay = time.Second // what is done before then needs no progress
	progressEvery = 250 * time.Millisecond
	// progressWidth bounds what is said, in characters: a line that wraps cannot be overwritten.
	progressWidth = 60
	clearLine     = "\r\x1b[K"
)

// progress tells on a terminal that something takes its time, in a line that updates itself. The
// function it returns ends that and leaves the terminal as it was.
func (e *env) progress(what string) (stop func()) {
	if !e.terminal {
		return func() {}
	}
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		e.tick(shorten(show.Line(what)), done)
	}()
	return func() {
		close(done)
		<-gone
	}
}

func (e *env) tick(what string, done <-chan struct{}) {
	start := time.Now()
	next := time.NewTimer(progressDelay)
	defer next.Stop()
	for shown := false; ; shown = true {
		select {
		case <-done:
			if shown {
				_, _ = io.WriteString(e.stderr, clearLine)
			}
			return
		case <-next.C:
			_, _ = fmt.Fprintf(e.stderr, "%sinstarfs: %s, %d s", clearLine, what,
				int(time.Since(start).Seconds()))
			next.Reset(progressEvery)
		}
	}
}

// shorten cuts the middle out of a text that is too long.
func shorten(s string) string {
	if utf8.RuneCountInString(s) <= progressWidth {
		return s
	}
	r := []rune(s)
	half := (progressWidth - 3) / 2
	return string(r[:half]) + "..." + string(r[len(r)-half:])
}

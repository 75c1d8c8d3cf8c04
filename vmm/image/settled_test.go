package image

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnsettled(t *testing.T) {
	const second, ms = time.Second, time.Millisecond
	at := func(ns int64) unix.Timespec { return unix.NsecToTimespec(ns) }
	for _, test := range []struct {
		name         string
		mtime, ctime int64 // ns
		now          int64
		want         time.Duration
	}{
		{"fine, just written", 1e9 + 1, 1e9 + 1, 1e9 + 1, quiet},
		{"fine, old", 1e9 + 1, 1e9 + 1, 9e9, -1},
		{"fine, old bytes, new owner", 1e9 + 1, 9e9 + 5, 9e9 + 5, quiet},
		{"fine, a set time", 1e9, 9e9 + 5, 9e9 + 5, quiet},
		{"fine, a time in the future", 99e9, 9e9 + 5, 9e9 + 6, quiet},
		{"fine, no change time", 9e9 + 5, 0, 9e9 + 5, quiet},
		{"seconds, the tick begins", 9e9, 9e9, 9e9, second + quiet},
		{"seconds, the tick ends", 9e9, 9e9, 9e9 + 999e6, quiet + ms},
		{"seconds, the kernel's clock lags", 9e9, 9e9, 10e9 + 29e6, ms},
		{"seconds, old", 9e9, 9e9, 10e9 + 30e6, 0},
		{"seconds, a set time", 4e9, 9e9, 9e9, second + quiet},
		{"seconds, a time in the future", 99e9, 9e9, 20e9, second + quiet},
		{"seconds, no change time", 9e9, 0, 9e9, second + quiet},
		{"two seconds", 8e9, 8e9, 9e9, second + quiet},
		{"two seconds, old", 8e9, 8e9, 10e9 + 30e6, 0},
		{"two seconds, a clock ahead", 8e9, 8e9, 5e9, 2*second + quiet},
	} {
		st := &unix.Stat_t{Mtim: at(test.mtime), Ctim: at(test.ctime)}
		got := unsettled(st, time.Unix(0, test.now))
		if got != test.want && !(test.want < 0 && got < 0) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestWaitForWriterGivesUp: a caller who leaves need not wait for a tick.
func TestWaitForWriterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := unix.NsecToTimespec(time.Now().Truncate(2 * time.Second).UnixNano())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		err := (&File{fd: -1, st: unix.Stat_t{Mtim: now, Ctim: now}}).WaitForWriter(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

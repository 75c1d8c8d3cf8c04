package logger

import (
	"strings"
	"testing"
)

// TestQuietEnd: that reading fails is news only as long as nobody wants the mount to end.
func TestQuietEnd(t *testing.T) {
	var log strings.Builder
	q := QuietEnd{To: &log}
	const failed, other = "Failed to read from fuse conn: 103\n", "something else\n"
	write := func(line string) {
		if n, err := q.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	write(failed)
	q.Wanted.Store(true)
	write(failed)
	write(other)
	if got := log.String(); got != failed+other {
		t.Errorf("%q", got)
	}
}

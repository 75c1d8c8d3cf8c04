package logger

import (
	"bytes"
	"io"
	"sync/atomic"
)

// QuietEnd is a log of go-fuse, which says that reading requests failed if a kernel ends a detached
// mount with ECONNABORTED. That is no news once the end is wanted.
type QuietEnd struct {
	To     io.Writer
	Wanted atomic.Bool
}

// Write implements io.Writer.
func (q *QuietEnd) Write(line []byte) (int, error) {
	if q.Wanted.Load() && bytes.HasPrefix(line, []byte("Failed to read from fuse conn")) {
		return len(line), nil
	}
	return q.To.Write(line)
}

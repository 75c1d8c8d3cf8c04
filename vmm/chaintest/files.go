package chaintest

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/show"
)

// GiveUp is how long tests wait for what must happen. It only bounds how long a failure takes.
const GiveUp = time.Minute

// Write makes or changes a file so that its identity is surely another one.
func Write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_000_000_000+changes.Add(1), 0)
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
}

var changes atomic.Int64

// Qcow2 writes an image of a MiB with a backing file, of which only the given clusters are
// allocated.
func Qcow2(t testing.TB, path, backing, format string, clusters ...uint64) {
	t.Helper()
	q := qcow2test.New(1<<20, 16)
	q.Backing = backing
	if format != "" {
		e := qcow2test.Extension{Type: qcow2test.ExtensionBackingFormat, Data: []byte(format)}
		q.Extensions = append(q.Extensions, e)
	}
	for _, c := range clusters {
		q.Data(c, 1)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// OpenFiles checks at the end of the test that no descriptor is open that was not open before.
func OpenFiles(t *testing.T) {
	t.Helper()
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	// The runtime opens descriptors of its own when it first waits for a file.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	before := count()
	t.Cleanup(func() {
		// A run may end a moment after its caller has left.
		for end := time.Now().Add(GiveUp); time.Now().Before(end); {
			if count() <= before {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("%d descriptors are open, %d were", count(), before)
	})
}

// OneLine checks that an error is one printable line that contains all parts.
func OneLine(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q does not say %q", err, p)
		}
	}
	if show.Line(err.Error()) != err.Error() {
		t.Errorf("%q is not one printable line", err)
	}
}

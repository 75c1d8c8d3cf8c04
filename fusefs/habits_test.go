package fusefs

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// Commands that list and stat again and again see the same, whichever way they are served.
func TestRepeatedListing(t *testing.T) {
	src := newFakeSource(t, 0)
	for n := range 50 {
		src.put(t, fmt.Sprintf("%02d.img", n), "s", int64(n))
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(src.root, old, old); err != nil {
		t.Fatal(err)
	}
	m := mountFake(t, src, nil)
	for _, script := range []string{"ls", "ls -l", "find . -size +0"} {
		want := command(t, "sh", "-c", "cd $0 && "+script, m.dir)
		for range 4 {
			time.Sleep(timeout / 4)
			if got := command(t, "sh", "-c", "cd $0 && "+script, m.dir); got != want {
				t.Errorf("%s: %q, then %q", script, want, got)
			}
		}
	}
}

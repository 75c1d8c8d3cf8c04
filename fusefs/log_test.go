package fusefs

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A log that stands still holds up nobody; what is lost is counted.
func TestLogNeverBlocks(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	gate := make(chan struct{})
	l := newLogger(func(line string) {
		<-gate
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	})
	start := time.Now()
	for n := range 2 * logQueue {
		l.printf("line %d", n)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("logging took %v", d)
	}
	close(gate)
	l.close()
	mu.Lock()
	defer mu.Unlock()
	if lines[0] != "line 0" || !strings.Contains(strings.Join(lines, "\n"), "log lines were dropped") {
		t.Errorf("%d lines, %q", len(lines), lines[:3])
	}
}

func TestLogOnce(t *testing.T) {
	var lines []string
	l := newLogger(func(line string) { lines = append(lines, line) })
	for range 3 {
		l.once("a", Generation{1, 1}, "a1")
		l.once("b", Generation{1, 1}, "b1")
	}
	l.once("a", Generation{1, 2}, "a2")
	l.close()
	if got := fmt.Sprint(lines); got != "[a1 b1 a2]" {
		t.Errorf("log: %s", got)
	}
}

func TestFindMount(t *testing.T) {
	const mountinfo = `22 1 0:21 / / rw - ext4 /dev/root rw
30 22 0:40 / /mnt/with\040space rw,noatime shared:1 - fuse.instarfs /images\011x ro,user_id=0
31 22 0:41 / /auto rw - autofs systemd-1 rw
32 31 0:42 / /auto rw - fuse.other s rw
short
`
	for point, want := range map[string]mount{
		"/mnt/with space": {"0:40", "/mnt/with space", fsType, "/images\tx"},
		"/auto":           {"0:42", "/auto", "fuse.other", "s"},
	} {
		if got, ok := findMount(strings.NewReader(mountinfo), point); !ok || got != want {
			t.Errorf("%s: %v %+v", point, ok, got)
		}
	}
	if got, ok := findMount(strings.NewReader(mountinfo), "/mnt"); ok {
		t.Errorf("/mnt: %+v", got)
	}
}

package progress

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a terminal that remembers.
type recorder struct {
	mu   sync.Mutex
	text string
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text += string(p)
	return len(p), nil
}

func TestProgress(t *testing.T) {
	for _, tc := range []struct {
		took time.Duration
		want string
	}{
		{delay - 1, ""},
		{delay + every + 1, clearLine + "instarfs: mapping a, 1 s" +
			clearLine + "instarfs: mapping a, 1 s" + clearLine},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{}
			stop := Tell(r, "mapping a")
			time.Sleep(tc.took)
			stop()
			if r.text != tc.want {
				t.Errorf("%v: %q, want %q", tc.took, r.text, tc.want)
			}
		})
	}
}

func TestShorten(t *testing.T) {
	long := shorten(strings.Repeat("ä", 40) + strings.Repeat("b", 40))
	if want := strings.Repeat("ä", 28) + "..." + strings.Repeat("b", 28); long != want ||
		shorten(long) != long {
		t.Errorf("%q, want %q", long, want)
	}
}

package answer

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"instarfs/fusefs/caller"
)

// The numbers that mean something special leave in the one case in which they are meant, and
// numbers that are no error numbers never do.
func TestAnswers(t *testing.T) {
	special := map[syscall.Errno]request{
		syscall.ESTALE: {stale: true}, syscall.EOPNOTSUPP: {open: true},
		syscall.EINTR: {interrupted: true}, syscall.ENOTCONN: {ending: true},
	}
	all := request{open: true, stale: true, interrupted: true, ending: true}
	allowed := 0
	for e := syscall.Errno(1); e < 5000; e++ {
		got := all.answer(e)
		if got != e && got != syscall.EIO {
			t.Errorf("%d becomes %d", e, got)
		}
		if got == e {
			allowed++
		}
		if got == e && e >= 512 {
			t.Errorf("%d leaves: the kernel does not take it, and the caller waits for ever", e)
		}
		want := got
		if only, ok := special[e]; ok {
			want = syscall.EIO
			if only.answer(e) != e {
				t.Errorf("%v does not leave where it is meant: %+v", e, only)
			}
		}
		if got := (request{}).answer(e); got != want {
			t.Errorf("%d becomes %d in an ordinary request, want %d", e, got, want)
		}
	}
	for _, e := range []syscall.Errno{
		syscall.ENOSYS, syscall.EAGAIN, syscall.ECONNABORTED, syscall.ENODATA, syscall.ENODEV,
	} {
		if got := all.answer(e); got != syscall.EIO {
			t.Errorf("%v becomes %v", e, got)
		}
	}
	if allowed < 20 || all.answer(0) != 0 {
		t.Errorf("%d numbers leave, and success becomes %v", allowed, all.answer(0))
	}
}

func TestErrnoOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{fmt.Errorf("open: %w", syscall.EMFILE), syscall.EMFILE},
		{fmt.Errorf("stat: %w", syscall.ESTALE), syscall.EIO},
		{fmt.Errorf("wait: %w", caller.ErrInterrupted), syscall.EINTR},
		{fmt.Errorf("map: %w", context.Canceled), syscall.ENOTCONN},
		{fmt.Errorf("map: %w", context.DeadlineExceeded), syscall.ETIMEDOUT},
		{fmt.Errorf("no number"), syscall.EIO},
	} {
		if got := Errno(test.err); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
}

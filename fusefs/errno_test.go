package fusefs

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"instarfs/fusefs/caller"
)

// The numbers that mean something special leave in the one case in which they are meant, and
// numbers that are no error numbers never do.
func TestAnswers(t *testing.T) {
	special := map[syscall.Errno]request{
		syscall.ESTALE: {again: true}, syscall.EOPNOTSUPP: {open: true},
		syscall.EINTR: {interrupted: true}, syscall.ENOTCONN: {ending: true},
	}
	all := request{open: true, again: true, interrupted: true, ending: true}
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
	for _, e := range []syscall.Errno{syscall.ENOSYS, syscall.EAGAIN, syscall.ECONNABORTED, syscall.ENODATA, syscall.ENODEV} {
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
		if got := errnoOf(test.err); got != test.want {
			t.Errorf("%v: %v, want %v", test.err, got, test.want)
		}
	}
}

// What a source makes of errors never ends a kind of request for the whole mount, never reads as an
// empty file, and never leaves anybody waiting.
func TestErrorsOfTheSourceStayErrors(t *testing.T) {
	src := newFakeSource(t, 0)
	src.put(t, "good.img", "g", 1000)
	src.put(t, "bad.img", "b", 1000)
	src.put(t, "d/x.img", "x", 1000)
	m := mountFake(t, src, nil)
	for _, e := range []syscall.Errno{
		syscall.ENOSYS, syscall.EAGAIN, syscall.EINTR, syscall.ESTALE, syscall.ENOTCONN, syscall.ECONNABORTED,
		511, 512, 516, 530, 4095,
	} {
		want := "Input/output error"
		src.break_("bad.img", e)
		if out, err := tryCommand(t, "timeout", "60", "cat", m.path("bad.img.map.json")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("run fails with %d: cat says %v, %d bytes", e, err, len(out))
		}
		src.hide("bad.img", e)
		src.hide("bad.img.map.txt", e)
		dir := fmt.Sprintf("dir%d", e) // which the kernel knows nothing of yet
		src.hide(dir, e)
		for _, file := range []string{"bad.img.map.txt", dir} {
			out, err := tryCommand(t, "timeout", "60", "stat", m.path(file))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("stat fails with %d: stat says %v, %q", e, err, out)
			}
		}
		src.hide("bad.img", nil)
		src.hide("bad.img.map.txt", nil)
		if got := m.read("good.img.map.json"); got != string(fakeContent("g", 1000, JSON)) {
			t.Errorf("after %d: %q", e, got)
		}
		if got := m.names("d"); got != "x.img.map.json\nx.img.map.txt" {
			t.Errorf("after %d: listing %q", e, got)
		}
	}
	m.waitLogged("LOOKUP dir38: function not implemented; the caller is told: input/output error")
}

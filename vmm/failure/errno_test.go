package failure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm/chaintest"
	"instarfs/vmm/files"
	"instarfs/vmm/session"
)

// TestErrnoOfFaults: every class has its number; a class that is new to this test fails it.
func TestErrnoOfFaults(t *testing.T) {
	want := map[fault.Class]unix.Errno{
		fault.OK: unix.EIO, fault.InvalidSource: unix.EIO, fault.InvalidOption: unix.EINVAL,
		fault.HasBacking: unix.EOPNOTSUPP, fault.IO: unix.EIO, fault.Corrupt: unix.EIO,
		fault.Unsupported: unix.EOPNOTSUPP, fault.LimitExceeded: unix.EFBIG,
		fault.NeedsKey: unix.ENOKEY,
	}
	for c := fault.Class(0); c.Known(); c++ {
		if errno, ok := want[c]; !ok || classErrno(c) != errno {
			t.Errorf("class %d is %v, want %v", c, classErrno(c), errno)
		}
	}
	for r := fault.Reason(1); r.Known(); r++ {
		f := &fault.Fault{Reason: r, Text: "hostile\n\x1b"}
		e := New("disk", f).(*Error)
		if e.Errno() != want[f.Class()] || e.QemuText() != f.Told("disk") {
			t.Errorf("reason %d: %v, %q", r, e.Errno(), e.QemuText())
		}
		chaintest.OneLine(t, e, "map disk: ", f.Message())
		if fixable := f.Class() == fault.Corrupt || f.Class() == fault.InvalidSource; fixable &&
			!strings.HasSuffix(e.Error(), ")") {
			t.Errorf("reason %d does not say what to do: %s", r, e)
		}
	}
}

func TestErrnoOfGuestErrors(t *testing.T) {
	want := map[session.Kind]unix.Errno{
		session.KindDeadline: unix.ETIMEDOUT, session.KindMemory: unix.EFBIG,
		session.KindExits:   unix.EFBIG,
		session.KindReads:   unix.EFBIG,
		session.KindExtents: unix.EFBIG,
		session.KindKilled:  unix.ENOMEM,
	}
	for k := session.KindFault; k <= session.KindKilled; k++ {
		errno, ok := want[k]
		if !ok {
			errno = unix.EIO
		}
		// The errno of a cause is the machine's business, not the reader's.
		e := New("disk", &session.GuestError{Kind: k, What: "w", Log: "hostile\nlog",
			Err: unix.ENOSPC}).(*Error)
		if e.Errno() != errno {
			t.Errorf("%s is %v, want %v", k, e.Errno(), errno)
		}
		chaintest.OneLine(t, e, "map disk: map guest: ", k.String())
	}
}

func TestErrno(t *testing.T) {
	for _, test := range []struct {
		err  error
		want unix.Errno
	}{
		{ErrChanging, unix.EBUSY}, {files.ErrNotRegular, unix.EINVAL},
		{fmt.Errorf("%w %q", ErrFormat, "x"), unix.EOPNOTSUPP}, {unix.ENOENT, unix.ENOENT},
		{unix.EACCES, unix.EACCES},
		{fmt.Errorf("open: %w", unix.EMFILE), unix.EMFILE}, {context.Canceled, unix.EINTR},
		{context.DeadlineExceeded, unix.ETIMEDOUT},
		{fmt.Errorf("x: %w", extent.ErrTooMany), unix.EFBIG},
		{fmt.Errorf("%w: %w", session.ErrNoGuest, unix.EMFILE), unix.EIO},
		{io.ErrUnexpectedEOF, unix.EIO}, {errors.New("x"), unix.EIO},
		{session.ErrClosed, unix.EIO},
	} {
		e := New("disk", test.err).(*Error)
		if e.Errno() != test.want || !errors.Is(e, test.err) {
			t.Errorf("%v is %v, want %v", test.err, e.Errno(), test.want)
		}
	}
}

func TestNamesInErrors(t *testing.T) {
	for name, want := range map[string]string{
		"a/b.img": "map a/b.img: x", "a b": `map "a b": x`, "a:b": `map "a:b": x`,
		"a\nb": `map "a\x0ab": x`, "\u009bm": `map "\xc2\x9bm": x`, "é": "map é: x",
		"\xff": `map "\xff": x`, "": `map "": x`, `a"b`: `map "a\"b": x`,
	} {
		if got := New(name, errors.New("x")).Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

package session

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestGuestErrorText(t *testing.T) {
	for _, test := range []struct {
		e    GuestError
		want string
	}{
		{GuestError{Kind: KindSyscall, What: "system call 59", RIP: 0x401234},
			"map guest: forbidden system call: system call 59 (at 0x401234)"},
		{GuestError{Kind: KindSyscall, Carrier: "process", What: "system call 59"},
			"map guest (process): forbidden system call: system call 59"},
		{GuestError{Kind: KindDeadline, What: "no result after 1s"},
			"map guest: time limit: no result after 1s"},
		{GuestError{Kind: KindExit, What: "status 2", Log: "panic: \x1b[2J\r\x00\xff\nsecond line"},
			`map guest: exit: status 2, it said "panic: \x1b[2J\x0d\x00\xff"`},
		{GuestError{Kind: KindExit, What: "status 2", Log: "\nsecond line"},
			"map guest: exit: status 2"},
	} {
		if got := test.e.Error(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
	long := GuestError{Log: strings.Repeat("\x00", MaxLog)}
	if s := long.Error(); len(s) > 1000 || strings.ContainsAny(s, "\n\x00") {
		t.Errorf("%d bytes: %q", len(s), s)
	}
	if e := (&GuestError{Err: io.ErrUnexpectedEOF}); !errors.Is(e, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
}

func TestKinds(t *testing.T) {
	budgets := map[Kind]bool{KindMemory: true, KindDeadline: true, KindExits: true, KindReads: true,
		KindExtents: true}
	seen := map[string]bool{}
	for k := KindFault; k <= KindKilled; k++ {
		if k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d is called %q", k, k)
		}
		seen[k.String()] = true
		if k.Budget() != budgets[k] {
			t.Errorf("%s is a budget: %v", k, k.Budget())
		}
	}
	if len(kindNames) != int(KindKilled)+1 {
		t.Errorf("%d names", len(kindNames))
	}
}

package jail

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLandlockAttr: each version of Landlock is asked for all that it knows, and nothing else,
// for it would refuse that: include/uapi/linux/landlock.h.
func TestLandlockAttr(t *testing.T) {
	const (
		firstFS = 0x1fff
		refer   = unix.LANDLOCK_ACCESS_FS_REFER
		trunc   = unix.LANDLOCK_ACCESS_FS_TRUNCATE
		ioctl   = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
		tcp     = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		scopes  = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	)
	for version, want := range [][]uint64{
		0: nil,
		1: {firstFS},
		2: {firstFS | refer},
		3: {firstFS | refer | trunc},
		4: {firstFS | refer | trunc, tcp},
		5: {firstFS | refer | trunc | ioctl, tcp},
		6: {firstFS | refer | trunc | ioctl, tcp, scopes},
		7: {firstFS | refer | trunc | ioctl, tcp, scopes},
	} {
		b := landlockAttr(version)
		if len(b) != 8*len(want) {
			t.Errorf("version %d: %d bytes", version, len(b))
			continue
		}
		for i, w := range want {
			if v := binary.LittleEndian.Uint64(b[8*i:]); v != w {
				t.Errorf("version %d: word %d is %#x, want %#x", version, i, v, w)
			}
		}
	}
	if landlockAttr(-1) != nil {
		t.Error("there is no version -1")
	}
}

func TestMissing(t *testing.T) {
	if s := all.Missing(); s != "" {
		t.Errorf("of all: %q", s)
	}
	for _, test := range []struct {
		take func(*Measures)
		want string
	}{
		{func(m *Measures) { m.Namespaces = false }, "namespaces"},
		{func(m *Measures) { m.UserNamespace = false }, "user namespace"},
		{func(m *Measures) { m.EmptyRoot = false }, "empty root"},
		{func(m *Measures) { m.Landlock = false }, "Landlock"},
		{func(m *Measures) { m.OtherUser = false }, "other user"},
		{func(m *Measures) { m.Reporting = false }, "reporting of refused system calls"},
	} {
		m := all
		test.take(&m)
		if s := m.Missing(); s != test.want {
			t.Errorf("%+v: %q, want %q", m, s, test.want)
		}
	}
	if n := strings.Count(Measures{}.Missing(), ","); n != 5 {
		t.Errorf("of none: %q", Measures{}.Missing())
	}
}

// TestJudge: what must succeed ends the start if it does not, with its name; what need not counts
// as done only if all of it was.
func TestJudge(t *testing.T) {
	results := func(list ...int64) (b []byte) {
		for _, r := range list {
			b = binary.LittleEndian.AppendUint64(b, uint64(r))
		}
		return b
	}
	s := newScript()
	var ok, other bool
	s.demand("first", 1)
	s.try(&ok, 2)
	s.Add(3)
	s.try(&ok, 4)
	s.try(&other, 5)
	for _, test := range []struct {
		results   []byte
		ok, other bool
		err       string
	}{
		{results(0, 0, 0, 0, 0), true, true, ""},
		{results(7, 8, -1, 9, 0), true, true, ""},
		{results(0, -1, 0, 0, 0), false, true, ""},
		{results(0, 0, 0, -1, -1), false, false, ""},
		{results(-int64(unix.EPERM), 0, 0, 0, 0), true, true, "first: operation not permitted"},
		{results(0, 0, 0, 0), true, true, "32 bytes of results for 5 steps"},
		{nil, true, true, "0 bytes of results for 5 steps"},
	} {
		ok, other = true, true
		err := s.judge(test.results)
		if ok != test.ok || other != test.other || (err == nil) != (test.err == "") ||
			err != nil && err.Error() != test.err {
			t.Errorf("%v: %v, %v, %v", test.results, ok, other, err)
		}
	}
	if err := s.judge(results(-int64(unix.EPERM), 0, 0, 0, 0)); !errors.Is(err, unix.EPERM) {
		t.Error(err)
	}
}

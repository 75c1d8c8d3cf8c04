package caller

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const callerStatus = `Name:	cat
Umask:	0022
State:	R (running)
Tgid:	4711
Pid:	4712
Uid:	1000	1001	1002	2001
Gid:	1000	1001	1002	2002
FDSize:	256
Groups:	4 24 3000 
CapInh:	0000000000000000
CapEff:	0000000000000006
`

func TestParseRights(t *testing.T) {
	r, ok := parseRights([]byte(callerStatus))
	if !ok || r.fsuid != 2001 || r.fsgid != 2002 ||
		!slices.Equal(r.groups, []uint32{4, 24, 3000}) || r.capEff != 6 {
		t.Errorf("%+v, %v", r, ok)
	}
	none, ok := parseRights([]byte(strings.Replace(callerStatus, "4 24 3000", "", 1)))
	if !ok || len(none.groups) != 0 {
		t.Errorf("without groups: %+v, %v", none, ok)
	}
	with := func(old, new string) string { return strings.Replace(callerStatus, old, new, 1) }
	for _, broken := range []string{
		"", with("Groups", "Grpups"), with("2001", ""), with("2002", "x"), with("3000", "-3"),
		with("CapEff:	0", "CapEff:	z"), with("3000", "4294967296"),
	} {
		if r, ok := parseRights([]byte(broken)); ok {
			t.Errorf("%q: %+v", broken, r)
		}
	}
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := parseRights(own); !ok || int(r.fsuid) != os.Geteuid() ||
		int(r.fsgid) != os.Getegid() {
		t.Errorf("our own: %+v, %v", r, ok)
	}
	if !sameUserNamespace(uint32(os.Getpid())) {
		t.Error("we are in another user namespace than ourselves")
	}
}

func TestCallersAreTold(t *testing.T) {
	a := &Caller{UID: 1, GID: 2, Groups: []uint32{3}, Known: true}
	same := *a
	for _, other := range []*Caller{
		nil, {UID: 2, GID: 2, Groups: []uint32{3}, Known: true}, {UID: 1, GID: 2, Known: true},
		{UID: 1, GID: 2, Groups: []uint32{3}},
	} {
		if a.Is(other) {
			t.Errorf("%+v is %+v", a, other)
		}
	}
	if !a.Is(&same) || !(*Caller)(nil).Is(nil) {
		t.Error("a caller is not itself")
	}
	var r Readers
	r.Add(a)
	if !r.Has(&same) || r.Has(&Caller{UID: 1, GID: 2, Known: true}) || !r.Has(nil) {
		t.Error("readers take one for another")
	}
	for i := range maxReaders {
		r.Add(&Caller{UID: uint32(100 + i), Known: true})
	}
	if len(r.known) > maxReaders {
		t.Errorf("%d readers are remembered", len(r.known))
	}
	r.Clear()
	if r.Has(a) {
		t.Error("readers of another content count")
	}
}

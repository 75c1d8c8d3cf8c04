package files

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// entry is one of an access control list.
func entry(tag, perm uint16, id uint32) []byte {
	b := binary.LittleEndian.AppendUint16(nil, tag)
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint16(b, perm), id)
}

func list(entries ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range entries {
		b = append(b, e...)
	}
	return b
}

func TestNarrow(t *testing.T) {
	const owner, mask, other = 0x01, 0x10, 0x20
	base := func(group uint16, named ...[]byte) []byte {
		l := list(entry(owner, 6, 0), entry(aclGroupObj, group, 0),
			entry(mask, 4, 0), entry(other, 4, 0))
		for _, n := range named {
			l = append(l, n...)
		}
		return l
	}
	for _, test := range []struct {
		name       string
		mode, want uint32
		list       []byte
	}{
		{"no list", 0o644, 0o644, nil},
		{"the group has what the mask shows", 0o644, 0o644, base(4)},
		{"the group has nothing", 0o644, 0o604, base(0)},
		{"one user more", 0o640, 0o640, base(4, entry(aclUser, 4, 2003))},
		{"one user less", 0o644, 0o600, base(4, entry(aclUser, 0, 2003))},
		{"one group less", 0o644, 0o600, base(4, entry(aclGroup, 2, 2003))},
		{"a directory", 0o40755, 0o40755, base(5, entry(aclUser, 7, 1))},
		{"a directory, a user less", 0o40755, 0o40744, base(5, entry(aclUser, 4, 1))},
		{"half an entry", 0o644, 0o600, base(4)[:9]},
		{"another version", 0o644, 0o600, append([]byte{3}, base(4)[1:]...)},
		{"nothing but a header", 0o644, 0o604, list()},
	} {
		if got := Narrow(test.mode, test.list); got != test.want {
			t.Errorf("%s: %o, want %o", test.name, got, test.want)
		}
	}
}

// TestListed reads what setfacl(1) wrote.
func TestListed(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	if err := os.WriteFile(name, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if l, err := ListedAt(int(d.Fd()), "file", 0o640); l != nil || err != nil {
		t.Errorf("%x, %v", l, err)
	}
	// More than the first buffer holds.
	args := []string{"-m", "g::-"}
	for i := range 60 {
		args = append(args, "-m", "u:"+string(rune('1'+i%9))+string(rune('0'+i/9))+":r")
	}
	if out, err := exec.Command("setfacl", append(args, name)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l, err := ListedAt(int(d.Fd()), "file", 0o640)
	if err != nil || len(l) < 300 || Narrow(0o640, l) != 0o600 {
		t.Errorf("%d bytes, %v, mode %o", len(l), err, Narrow(0o640, l))
	}
	if l, err := ListedAt(int(d.Fd()), "file", 0o600); l != nil || err != nil {
		t.Errorf("of a mode that hides none: %x, %v", l, err)
	}
}

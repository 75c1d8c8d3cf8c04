package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/needs"
	"instarfs/vmm/gate"
)

// TestFindReference looks for what a file in the tree "in" of walkTree names.
func TestFindReference(t *testing.T) {
	in, also, base := walkTree(t)
	// By the name of its tree, "../near" is link-to/near; by the place of its tree, near.
	near := filepath.Join(base, "link-to/near")
	err := errors.Join(os.Mkdir(near, 0o755), os.WriteFile(near+"/base", []byte("near"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	nearTree, err := OpenPath(near)
	if err != nil {
		t.Fatal(err)
	}
	defer nearTree.Close()
	allow := Policy{Allow: []*Tree{also, nearTree}}
	for _, test := range []struct {
		policy Policy
		name   string
		want   string // the content
		err    error
	}{
		{Policy{}, "b/leaf", "in/a/b/leaf", nil},
		{Policy{}, "../top", "in/top", nil},
		{Policy{}, filepath.Join(base, "in/top"), "in/top", nil},
		{Policy{}, filepath.Join(base, "link-to/in/top"), "in/top", nil},
		{Policy{}, "../../also/deep/base", "", ErrOutside},
		{Policy{}, "../also", "", ErrOutside}, // a link
		{Policy{}, "../nothing", "", unix.ENOENT},
		{Policy{}, strings.Repeat("x", 4096), "", unix.ENAMETOOLONG},
		{allow, "../../also/deep/base", "also/deep/base", nil},
		{allow, "../also", "also/deep/base", nil},
		{allow, "../../near/base", "near", nil},
		{allow, "../../out/secret", "", ErrOutside},
		{Policy{References: Any}, filepath.Join(base, "out/secret"), "out/secret", nil},
		{Policy{References: Any}, "../out", "out/secret", nil},
		{Policy{References: None}, "b/leaf", "", ErrNone},
		{Policy{References: None, Allow: allow.Allow}, "../also", "", ErrNone},
	} {
		h := NewHost(test.policy, gate.DefaultCallTime)
		f, at, err := h.FindReference(t.Context(), Place{in, "a/image"}, &unix.Stat_t{}, test.name)
		if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
			t.Errorf("%.40q under %+v: %v, want %v", test.name, test.policy, err, test.err)
		}
		if err != nil {
			continue
		}
		if got := read(t, h, f); got != test.want {
			t.Errorf("%.40q under %+v: %q, want %q", test.name, test.policy, got, test.want)
		}
		again, err := h.Find(t.Context(), nil, at, h.Roots(), true)
		if err != nil {
			t.Errorf("%.40q: its place %+v: %v", test.name, at, err)
			continue
		}
		again.Close()
	}
}

// TestRightsOf: with whose rights files are opened that a file names.
func TestRightsOf(t *testing.T) {
	needs.Root(t)
	in, _, base := walkTree(t)
	secret := filepath.Join(base, "in/secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir := base; dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		policy Policy
		owner  uint32
		want   error
	}{
		{Policy{}, 0, nil}, {Policy{}, 2001, unix.EACCES}, {Policy{OwnRights: true}, 2001, nil},
	} {
		h := NewHost(test.policy, gate.DefaultCallTime)
		owner := &unix.Stat_t{Uid: test.owner, Gid: test.owner}
		f, _, err := h.FindReference(t.Context(), Place{in, "a/image"}, owner, "../secret")
		if err != nil {
			t.Fatal(err)
		}
		u := h.RightsOf(owner)
		fd, err := h.Open(t.Context(), u, f)
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%+v, owner %d: %v, want %v", test.policy, test.owner, err, test.want)
		}
		if err == nil {
			unix.Close(fd)
		} else if !strings.Contains(WithOwner(u, err).Error(), "for user 2001, who owns") {
			t.Errorf("it does not say whose rights: %v", WithOwner(u, err))
		}
	}
}

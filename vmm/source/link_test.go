package source

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/vmm/chain"
	"instarfs/vmm/files"
	"instarfs/vmm/vmmtest"
)

// openTree opens a directory until the test ends.
func openTree(t *testing.T, dir string) *files.Tree {
	t.Helper()
	tree, err := files.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree
}

// TestLinkedImage: a link to an image in an allowed directory is shown as that image.
func TestLinkedImage(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"tree", "allowed", "other"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
		qcow2(t, filepath.Join(dir, d, "base"), "", "", 1)
	}
	for _, d := range []string{"allowed", "other"} {
		err := os.Symlink(filepath.Join(dir, d, "base"), filepath.Join(dir, "tree", d))
		if err != nil {
			t.Fatal(err)
		}
	}
	err := os.Symlink(filepath.Join(dir, "allowed"), filepath.Join(dir, "tree", "directory"))
	if err != nil {
		t.Fatal(err)
	}
	tree, allow := openTree(t, dir+"/tree"), []*files.Tree{openTree(t, dir+"/allowed")}
	for _, test := range []struct {
		policy files.Policy
		name   string
		want   error
	}{
		{files.Policy{Allow: allow}, "base", nil},
		{files.Policy{Allow: allow}, "allowed", nil},
		{files.Policy{Allow: allow}, "other", unix.ENOENT},
		{files.Policy{Allow: allow}, "directory", unix.ENOENT},
		{files.Policy{}, "allowed", unix.ENOENT},
		{files.Policy{Allow: allow, References: files.None}, "allowed", unix.ENOENT},
		{files.Policy{Allow: allow, References: files.None}, "base", nil},
		{files.Policy{Allow: allow, References: files.Any}, "other", unix.ENOENT},
	} {
		e := chain.NewEngine(
			vmmtest.Walker{}, chain.Access{Policy: test.policy}, chain.Limits{Cache: 1 << 20})
		s := New(tree, e, options)
		i, err := s.Stat(t.Context(), nil, test.name)
		if !errors.Is(err, test.want) || err == nil && i.Mode&unix.S_IFMT != unix.S_IFREG {
			t.Errorf("%s under %+v: mode %o, %v", test.name, test.policy, i.Mode, err)
		}
		if _, _, err := s.Map(t.Context(), nil, test.name); !errors.Is(err, test.want) {
			t.Errorf("%s under %+v: map: %v", test.name, test.policy, err)
		}
	}
}

// TestNoMapNoMode: nobody may read an image of which it is known that it has no map.
func TestNoMapNoMode(t *testing.T) {
	dir := publicDir(t)
	name := filepath.Join(dir, "loop")
	qcow2(t, name, "loop", "qcow2", 1)
	e := chain.NewEngine(vmmtest.Walker{}, chain.Access{}, chain.Limits{Cache: 1 << 20})
	s := New(openTree(t, dir), e, options)
	before, err := s.Stat(t.Context(), nil, "loop")
	if err != nil || before.Mode&0o444 == 0 {
		t.Errorf("before: mode %o, %v", before.Mode, err)
	}
	_, g, err := s.Map(t.Context(), nil, "loop")
	if err == nil {
		t.Error("an image that is its own backing file has a map")
	}
	after, err := s.Stat(t.Context(), nil, "loop")
	if err != nil || after.Mode&0o444 != 0 || after.Generation != g || after.Alone {
		t.Errorf("after: %+v, %v; want generation %x", after, err, g)
	}
}

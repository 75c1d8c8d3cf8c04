package source

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/vmm/chain"
	"instarfs/vmm/files"
)

// stranger owns nothing.
var stranger = &files.Caller{UID: 2001, GID: 2001, Known: true}

// publicDir is a directory for the test that all users can reach.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestNoGuestForTheUnreadable: of a file that a caller may not read nothing is made for him: the
// time that a guest takes would tell that there is such a file.
func TestNoGuestForTheUnreadable(t *testing.T) {
	dir := publicDir(t)
	if err := os.Mkdir(filepath.Join(dir, "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	qcow2(t, filepath.Join(dir, "private/base"), "", "", 1)
	qcow2(t, filepath.Join(dir, "over"), "private/base", "qcow2", 3)
	qcow2(t, filepath.Join(dir, "lost"), "private/nothing", "qcow2", 3)
	// The base is the newest.
	soon := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "private/base"), soon, soon); err != nil {
		t.Fatal(err)
	}
	tree, err := files.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	w := &countingWalker{}
	s := New(tree, chain.NewEngine(w, chain.Access{}, chain.Limits{Cache: 1 << 20}), options)
	for i, name := range []string{"over", "lost", "over", "lost"} {
		_, _, err := s.Map(t.Context(), stranger, name)
		if !errors.Is(err, unix.EACCES) {
			t.Errorf("%s: %v", name, err)
		}
		if want := min(int32(i)+1, 2); w.runs.Load() != want {
			t.Errorf("%s: %d runs so far, want %d", name, w.runs.Load(), want)
		}
	}
	if _, _, err := s.Map(t.Context(), nil, "over"); err != nil || w.runs.Load() != 3 {
		t.Errorf("for who mounted: %v, %d runs", err, w.runs.Load())
	}
	if _, _, err := s.Map(t.Context(), stranger, "over"); !errors.Is(err, unix.EACCES) {
		t.Errorf("once it is known: %v", err)
	}
	// Nor when it changed last.
	if i, err := s.Stat(t.Context(), stranger, "over"); err != nil || !i.MTime.Before(soon) {
		t.Errorf("the stranger sees the time %v, %v", i.MTime, err)
	}
	if i, err := s.Stat(t.Context(), nil, "over"); err != nil || !i.MTime.Equal(soon) {
		t.Errorf("who mounted sees the time %v, %v", i.MTime, err)
	}
}

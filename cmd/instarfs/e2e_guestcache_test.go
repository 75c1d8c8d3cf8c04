package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"instarfs/needs"
)

// kept is the one file in which a guest is kept in dir, or "".
func kept(t *testing.T, dir string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "guest-*"))
	if err != nil || len(list) > 1 {
		t.Fatalf("%q, %v", list, err)
	}
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// TestGuestCache: a guest is kept where it should be, used again, and made again if it is damaged,
// whatever starts it.
func TestGuestCache(t *testing.T) {
	t.Run("kvm", func(t *testing.T) {
		needs.KVM(t)
		image := filepath.Join(t.TempDir(), "disk.raw")
		if err := os.WriteFile(image, make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "not made yet")
		mapped := func(cache string) (stdout, stderr string) {
			t.Helper()
			stdout, stderr, code := command(t, "map", "--isolation=kvm", "--guest-cache="+cache,
				"--output=json", image)
			if code != 0 {
				t.Fatalf("status %d, %s", code, stderr)
			}
			return stdout, stderr
		}
		t.Setenv("XDG_CACHE_HOME", t.TempDir())
		usual := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "instarfs")
		want, stderr := mapped("off")
		if name := kept(t, usual); name != "" || stderr != "" {
			t.Fatalf("off: %s, %s", name, stderr)
		}
		for _, when := range []string{"first", "again"} {
			if got, stderr := mapped(dir); got != want || stderr != "" {
				t.Fatalf("%s: %s, %s", when, got, stderr)
			}
		}
		name := kept(t, dir)
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for file, mode := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, name: 0o600} {
			if info, err := os.Stat(file); err != nil || info.Mode() != mode {
				t.Errorf("%s: %v, %v", file, info.Mode(), err)
			}
		}

		damage := func() {
			t.Helper()
			if err := os.WriteFile(name, whole[:len(whole)-1], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		says := "guest cache: " + name + ": it is damaged"
		damage()
		if got, stderr := mapped(dir); got != want || stderr != "instarfs: "+says+"\n" {
			t.Errorf("damaged: %s, %s", got, stderr)
		}
		if got, stderr := mapped(dir); got != want || stderr != "" {
			t.Errorf("made again: %s, %s", got, stderr)
		}
		damage()
		s := serve(t, filepath.Dir(image), "--isolation=kvm", "--guest-cache="+dir)
		if got := s.read("disk.raw.map.json"); got != want {
			t.Errorf("mounted: %s", got)
		}
		if log := strings.Join(s.log(), "\n"); !strings.Contains(log, says) {
			t.Errorf("the log is %q", log)
		}

		out, stderr, code := command(t, "doctor", "--warm")
		line := "guest cache ok     " + usual
		if code != 0 || kept(t, usual) == "" || !strings.Contains(out, line) {
			t.Errorf("doctor --warm: status %d, %s%s", code, out, stderr)
		}
		foreign := t.TempDir()
		if err := os.Chmod(foreign, 0o777); err != nil {
			t.Fatal(err)
		}
		if got, stderr := mapped(foreign); got != want || kept(t, foreign) != "" ||
			!strings.Contains(stderr, "it must belong to this user") {
			t.Errorf("a directory that all may write: %s, %s", got, stderr)
		}
	})
}

package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLabel(t *testing.T) {
	for _, test := range [][3]string{{"dir", "a/b", "dir/a/b"}, {"/", "a", "/a"},
		{"dir/", "a", "dir/a"}, {".", "a", "./a"}, {"", "a", "a"}} {
		if got := (&Tree{name: test[0]}).Label(test[1]); got != test[2] {
			t.Errorf("%q in %q is %q, want %q", test[1], test[0], got, test[2])
		}
	}
}

func TestOpenTreeRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{file: unix.ENOTDIR, file + "-not": unix.ENOENT} {
		_, err := OpenTree(name)
		if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "open directory "+name) {
			t.Error(err)
		}
	}
}

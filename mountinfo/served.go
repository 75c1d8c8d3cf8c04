package mountinfo

import (
	"path/filepath"
	"strings"
)

// ServedByProgram reports whether a directory, or anything in it, lies on a file system that a
// program serves (FUSE). While a thread of a process waits for such a program to answer, the kernel
// does not let the process end, even if it was killed. Symbolic links to the directory are resolved
// only if its path, as it is given, leads to no such file system.
func ServedByProgram(dir string) bool {
	t, err := Read()
	if err != nil {
		return false
	}
	abs, err := filepath.Abs(dir)
	if err != nil || t.servedByProgram(abs) {
		return err == nil
	}
	real, err := filepath.EvalSymlinks(abs)
	return err == nil && t.servedByProgram(real)
}

// servedByProgram looks at the mount that a directory lies on, which is the one with the longest
// path, and at the mounts in the directory.
func (t Table) servedByProgram(dir string) bool {
	var on Mount
	for _, m := range t {
		if m.isFUSE() && beneath(dir, m.Point) {
			return true
		}
		if beneath(m.Point, dir) && len(m.Point) >= len(on.Point) {
			on = m
		}
	}
	return on.isFUSE()
}

func (m Mount) isFUSE() bool {
	switch m.Type {
	case "fuse", "fuseblk", "virtiofs":
		return true
	}
	return strings.HasPrefix(m.Type, "fuse.")
}

// beneath reports whether a path is a directory or something in it.
func beneath(dir, path string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

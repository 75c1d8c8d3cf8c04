package fusefs

import (
	"os"
	"path/filepath"
	"strings"
)

// ServedByProgram reports whether a directory, or anything beneath it, lies on a file system that a
// program serves (FUSE). The kernel does not let a process go, not even one that was killed, while
// a thread of it waits for such a program to answer.
func ServedByProgram(dir string) bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	abs, err := filepath.Abs(dir)
	if err != nil || servedByProgram(string(text), abs) {
		return err == nil
	}
	// Only now: to resolve links of a directory that hangs would hang.
	real, err := filepath.EvalSymlinks(abs)
	return err == nil && servedByProgram(string(text), real)
}

// servedByProgram looks at the mount that a directory lies on, which is the one with the longest
// name, and at those beneath it.
func servedByProgram(mountinfo, dir string) bool {
	var on mount
	for m := range mounts(mountinfo) {
		if m.isFUSE() && beneath(dir, m.point) {
			return true
		}
		if beneath(m.point, dir) && len(m.point) >= len(on.point) {
			on = m
		}
	}
	return on.isFUSE()
}

func (m mount) isFUSE() bool {
	return m.fsType == "fuse" || m.fsType == "fuseblk" || m.fsType == "virtiofs" || strings.HasPrefix(m.fsType, "fuse.")
}

// beneath reports whether a path is that of a directory or of something in it.
func beneath(dir, path string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

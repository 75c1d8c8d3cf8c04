package fusefs

import (
	"iter"
	"os"
	"strings"
)

// fsType is the type of our mounts in /proc/self/mountinfo.
const fsType = "fuse.instarfs"

// mount is one line of /proc/self/mountinfo, see proc_pid_mountinfo(5).
type mount struct {
	device string // MAJOR:MINOR
	point  string
	fsType string
	source string
}

// mountAt returns the topmost mount on a directory, whose path has no symbolic links. It asks no
// file system anything.
func mountAt(point string) (mount, bool, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return mount{}, false, err
	}
	m, ok := findMount(string(text), point)
	return m, ok, nil
}

// findMount returns the last mount on a mount point, which is the one on top.
func findMount(mountinfo, point string) (top mount, found bool) {
	for m := range mounts(mountinfo) {
		if m.point == point {
			top, found = m, true
		}
	}
	return top, found
}

// mounts are the mounts that a mountinfo lists. Fields end at a plain space and lines at a plain newline: the kernel
// escapes these two, backslashes and tabs, and leaves everything else in a name as it is, other kinds of space and
// carriage returns included.
func mounts(mountinfo string) iter.Seq[mount] {
	return func(yield func(mount) bool) {
		for line := range strings.SplitSeq(mountinfo, "\n") {
			// 36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/root rw
			before, after, ok := strings.Cut(line, " - ")
			where, what := strings.Split(before, " "), strings.Split(after, " ")
			if !ok || len(where) < 5 || len(what) < 2 {
				continue
			}
			m := mount{device: where[2], point: unescape(where[4]), fsType: unescape(what[0]), source: unescape(what[1])}
			if !yield(m) {
				return
			}
		}
	}
}

// unescape undoes the escapes of mountinfo: a backslash and three octal digits stand for a byte.
func unescape(field string) string {
	if !strings.Contains(field, `\`) {
		return field
	}
	var b strings.Builder
	for i := 0; i < len(field); i++ {
		if c, ok := octal(field[i:]); ok {
			b.WriteByte(c)
			i += 3
		} else {
			b.WriteByte(field[i])
		}
	}
	return b.String()
}

// octal is the byte of an escape at the start of s.
func octal(s string) (c byte, ok bool) {
	if len(s) < 4 || s[0] != '\\' || s[1] > '3' {
		return 0, false
	}
	for _, digit := range []byte(s[1:4]) {
		if digit < '0' || digit > '7' {
			return 0, false
		}
		c = c<<3 | (digit - '0')
	}
	return c, true
}

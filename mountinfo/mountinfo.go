// Package mountinfo reads the kernel's table of mounts, /proc/self/mountinfo. Nothing in it touches
// a file system that is mounted, with one exception that ServedByProgram names, because its server
// may be dead or stopped. Everything here is safe for concurrent use.
package mountinfo

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount is one line of the table, see proc_pid_mountinfo(5).
type Mount struct {
	Device  uint64 // as st_dev of stat(2); subvolumes of btrfs have other numbers
	Root    string // the directory of the file system that is mounted
	Point   string // the path of the directory, without symbolic links
	Type    string // of the file system
	Source  string // what is mounted: a device, a directory, or anything
	Options string // of the file system, separated by commas
}

// Table holds all mounts that this process sees. If one was mounted over another, it comes later.
type Table []Mount

// Read reads the table.
func Read() (Table, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return Parse(string(text)), nil
}

// At returns the topmost mount on a directory, whose path has no symbolic links, and whether there
// is one.
func At(point string) (m Mount, mounted bool, err error) {
	t, err := Read()
	if err != nil {
		return Mount{}, false, err
	}
	m, mounted = t.at(point)
	return m, mounted, nil
}

// at returns the last mount on a mount point, which is the one on top.
func (t Table) at(point string) (top Mount, mounted bool) {
	for _, m := range t {
		if m.Point == point {
			top, mounted = m, true
		}
	}
	return top, mounted
}

// Parse reads the text of a table. Fields end at a plain space and lines at a plain newline: the
// kernel escapes these two, backslashes and tabs. It leaves everything else in a name unchanged,
// including other kinds of space and carriage returns. Lines that are no mounts are left out.
func Parse(text string) (t Table) {
	for line := range strings.SplitSeq(text, "\n") {
		// 36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/root rw
		before, after, ok := strings.Cut(line, " - ")
		where, what := strings.Split(before, " "), strings.Split(after, " ")
		if !ok || len(where) < 5 || len(what) < 3 {
			continue
		}
		device, ok := parseDevice(where[2])
		if !ok {
			continue
		}
		t = append(t, Mount{
			Device: device, Root: unescape(where[3]), Point: unescape(where[4]),
			Type: unescape(what[0]), Source: unescape(what[1]), Options: unescape(what[2]),
		})
	}
	return t
}

// parseDevice reads MAJOR:MINOR.
func parseDevice(field string) (device uint64, ok bool) {
	major, minor, _ := strings.Cut(field, ":")
	a, errA := strconv.ParseUint(major, 10, 32)
	b, errB := strconv.ParseUint(minor, 10, 32)
	return unix.Mkdev(uint32(a), uint32(b)), errA == nil && errB == nil
}

// unescape replaces the escapes of the table: a backslash and three octal digits stand for a byte.
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

// octal returns the byte of an escape at the start of s.
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

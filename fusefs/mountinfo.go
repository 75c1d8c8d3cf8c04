package fusefs

import (
	"bufio"
	"io"
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

// mountAt returns the topmost mount on a directory.
func mountAt(point string) (mount, bool, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return mount{}, false, err
	}
	defer f.Close()
	m, ok := findMount(f, point)
	return m, ok, nil
}

// findMount returns the last line for a mount point, which is the mount on top.
func findMount(mountinfo io.Reader, point string) (top mount, found bool) {
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		// 36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/root rw
		before, after, ok := strings.Cut(lines.Text(), " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if !ok || len(where) < 5 || len(what) < 2 || unescape(where[4]) != point {
			continue
		}
		top, found = mount{device: where[2], point: point, fsType: what[0], source: unescape(what[1])}, true
	}
	return top, found
}

// unescape undoes the octal escapes of mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

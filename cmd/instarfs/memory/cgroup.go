package memory

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"

	"instarfs/mountinfo"
)

// cgroupMemory returns the tightest limit of memory of the cgroup of this process and of those
// above it. root is /.
func cgroupMemory(root fs.FS) (limit int64, ok bool) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	mounts, err := fs.ReadFile(root, "proc/self/mountinfo")
	if err != nil {
		return 0, false
	}
	limit = math.MaxInt64
	for _, m := range mountinfo.Parse(string(mounts)) {
		controller, files := limitsOf(m)
		point := strings.TrimPrefix(m.Point, "/")
		for dir := path.Join(point, below(m, controller, string(groups))); len(files) > 0; {
			for _, name := range files {
				limit = min(limit, readLimit(root, path.Join(dir, name)))
			}
			if dir == point || dir == "." {
				break
			}
			dir = path.Dir(dir)
		}
	}
	return limit, limit != math.MaxInt64
}

// limitsOf returns which files of a mount of cgroups hold limits of memory, none if it is another
// mount, and the name of the controller in /proc/self/cgroup.
func limitsOf(m mountinfo.Mount) (controller string, files []string) {
	switch {
	case m.Type == "cgroup2":
		return "", []string{"memory.max", "memory.high"}
	case m.Type == "cgroup" && strings.Contains(","+m.Options+",", ",memory,"):
		return "memory", []string{"memory.limit_in_bytes"}
	}
	return "", nil
}

// below returns the directory, in a mount of cgroups, of the cgroup of a process whose
// /proc/self/cgroup is given. If that lies outside of what is mounted it is the mount itself.
func below(m mountinfo.Mount, controller, groups string) string {
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) < 3 || !strings.Contains(","+fields[1]+",", ","+controller+",") {
			continue
		}
		group := path.Clean("/" + fields[2])
		if dir, ok := strings.CutPrefix(group, strings.TrimSuffix(m.Root, "/")); ok {
			return dir
		}
	}
	return ""
}

// readLimit returns the number in a file, or MaxInt64 if it says max or does not exist.
func readLimit(root fs.FS, name string) int64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return n
}

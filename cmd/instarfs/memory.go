package main

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// leastShare is the default of --memory where nothing limits the process, if a share of the
	// computer's is less, bytes.
	leastShare = 256 << 20
	// machineRoom is memory that the heap must leave to machines, bytes.
	machineRoom = 24 << 20
)

// defaultMemory is how much maps may take if nobody says: a share of what there is for this
// process, bytes.
func defaultMemory() int64 {
	n := int64(math.MaxInt64)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		n = max(int64(info.Totalram)*int64(info.Unit)/4, leastShare)
	}
	if limit, ok := cgroupMemory(os.DirFS("/")); ok {
		n = min(n, limit-limit/4)
	}
	n = min(n, addressesForMaps())
	return max(min(n, debug.SetMemoryLimit(-1)), minMemory)
}

// limitHeap keeps the heap, with what is not collected yet, to n bytes less the room for machines,
// or to GOMEMLIMIT if that is less. What is reachable is bounded elsewhere: the heap never has to
// be collected again and again.
func limitHeap(n int64) { debug.SetMemoryLimit(min(debug.SetMemoryLimit(-1), n-machineRoom)) }

// cgroupMemory is the tightest limit of memory among the cgroup of this process and those above it,
// bytes. root is /.
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
	for line := range strings.Lines(string(mounts)) {
		m, ok := cgroupMount(line)
		if !ok {
			continue
		}
		dir := m.dir(string(groups))
		for {
			for _, name := range m.files {
				limit = min(limit, readLimit(root, path.Join(dir, name)))
			}
			if dir == m.point || dir == "." {
				break
			}
			dir = path.Dir(dir)
		}
	}
	return limit, limit != math.MaxInt64
}

// hierarchy is a mount of cgroups that limit memory.
type hierarchy struct {
	root, point string   // the cgroup that is mounted, and where, without a slash in front
	controller  string   // its name in /proc/self/cgroup
	files       []string // that hold limits
}

// cgroupMount reads a line of /proc/self/mountinfo, see proc_pid_mountinfo(5).
func cgroupMount(line string) (m hierarchy, ok bool) {
	before, after, _ := strings.Cut(line, " - ")
	fields, kind := strings.Split(before, " "), strings.Fields(after)
	if len(fields) < 5 || len(kind) < 3 {
		return m, false
	}
	m.root, m.point = fields[3], strings.TrimPrefix(fields[4], "/")
	switch {
	case kind[0] == "cgroup2":
		m.files = []string{"memory.max", "memory.high"}
	case kind[0] == "cgroup" && strings.Contains(","+kind[2]+",", ",memory,"):
		m.controller, m.files = "memory", []string{"memory.limit_in_bytes"}
	default:
		return m, false
	}
	return m, true
}

// dir is the directory of the cgroup of a process, whose /proc/self/cgroup is given. Of one that
// lies outside of what is mounted it is the mount itself.
func (m *hierarchy) dir(groups string) string {
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) < 3 || !strings.Contains(","+fields[1]+",", ","+m.controller+",") {
			continue
		}
		group := path.Clean("/" + fields[2])
		if below, ok := strings.CutPrefix(group, strings.TrimSuffix(m.root, "/")); ok {
			return path.Join(m.point, below)
		}
	}
	return m.point
}

// readLimit is the number in a file, MaxInt64 where there is none: the file says max, or there is
// no such file.
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

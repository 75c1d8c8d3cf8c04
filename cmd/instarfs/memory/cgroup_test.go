package memory

import (
	"testing"
	"testing/fstest"
)

// TestCgroupMemory: the tightest limit counts, whichever version and level it is of.
func TestCgroupMemory(t *testing.T) {
	const (
		v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
		v1 = "30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" +
			"36 23 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
		part = "30 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
		odd  = "x\n - \n1 2 3 4 5 - cgroup2\n"
	)
	type limits map[string]string // by file below /sys/fs/cgroup
	for _, test := range []struct {
		name           string
		groups, mounts string
		files          limits
		want           int64
	}{
		{"no limit", "0::/a/b\n", v2, limits{"a/b/memory.max": "max", "a/memory.max": "max"}, 0},
		{"own", "0::/a/b\n", v2, limits{"a/b/memory.max": "1000", "a/memory.max": "2000"}, 1000},
		{"above", "0::/a/b\n", v2, limits{"a/b/memory.max": "max", "a/memory.max": "2000"}, 2000},
		{"of the mount", "0::/\n", v2, limits{"memory.max": "3000"}, 3000},
		{"high", "0::/a\n", v2, limits{"a/memory.max": "3000", "a/memory.high": "2500"}, 2500},
		{"v1", "9:cpu:/x\n8:memory:/a/b\n0::/z\n", v1, limits{
			"memory/a/b/memory.limit_in_bytes": "9223372036854771712",
			"memory/a/memory.limit_in_bytes":   "512"}, 512},
		{"both", "8:memory:/a\n0::/b\n", v1 + v2, limits{
			"memory/a/memory.limit_in_bytes": "700", "b/memory.max": "600"}, 600},
		{"container", "0::/docker/x\n", part, limits{"memory.max": "900"}, 900},
		{"group that is not mounted", "0::/../other\n", v2, limits{"memory.max": "800"}, 800},
		{"nonsense", "0\n::\n", odd + v2, limits{"memory.max": "-x"}, 0},
	} {
		root := fstest.MapFS{
			"proc/self/cgroup":    {Data: []byte(test.groups)},
			"proc/self/mountinfo": {Data: []byte(test.mounts)},
		}
		for name, text := range test.files {
			root["sys/fs/cgroup/"+name] = &fstest.MapFile{Data: []byte(text + "\n")}
		}
		if got, ok := cgroupMemory(root); ok != (test.want != 0) || ok && got != test.want {
			t.Errorf("%s: %d, %v; want %d", test.name, got, ok, test.want)
		}
	}
	if _, ok := cgroupMemory(fstest.MapFS{}); ok {
		t.Error("a limit without /proc")
	}
	if n := Default(); n < Least {
		t.Errorf("%d bytes by default", n)
	}
}

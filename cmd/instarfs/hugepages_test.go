package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestHugePages looks at the memory of a mount: room for its maps is to be in huge pages, as far as
// the kernel has them.
func TestHugePages(t *testing.T) {
	source, dir := t.TempDir(), t.TempDir()
	s := serveBy(t, child(walkedChild, "mount", "--cache-bytes=64M", source, dir), source, dir)
	// The runtime's own pages lie around what was asked for.
	const least = 60 << 10
	await(t, "64 MiB of the heap are in huge pages",
		func() bool { return advised(t, s.cmd.Process.Pid) >= least })
}

// advised is how much memory of a process is meant for huge pages, KiB; on a kernel without them it
// is as much as anyone asks for.
func advised(t *testing.T, pid int) (kib int) {
	t.Helper()
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); os.IsNotExist(err) {
		return 1 << 30
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size int
	for line := range strings.Lines(string(b)) {
		_, _ = fmt.Sscanf(line, "Size: %d kB", &size)
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && strings.Contains(flags, " hg") {
			kib += size
		}
	}
	return kib
}

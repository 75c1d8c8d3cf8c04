package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// warmBytes is more than the largest step needs: its images, maps, and what the kernel keeps of
// the files.
const warmBytes = 6 << 30

// warm touches memory and frees it.
func (b *bench) warm() error {
	n := warmBytes / b.scale
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return err
	}
	n = min(n, int(info.Freeram*uint64(info.Unit)/2))
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("touch %d bytes of memory: %w", n, err)
	}
	return unix.Munmap(mem)
}

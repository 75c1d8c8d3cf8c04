package mountpoint

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// KeepFromPrograms marks every descriptor of /dev/fuse in this process as close-on-exec. go-fuse
// opens the one of a direct mount without. A program that holds it keeps the mount alive: after the
// server died, readers would wait for ever for an answer that nobody gives.
//
// Call it after the mount and before any program is started.
func KeepFromPrograms() error {
	const dir = "/proc/self/fd"
	var device unix.Stat_t
	if err := unix.Stat("/dev/fuse", &device); err != nil {
		return fmt.Errorf("stat /dev/fuse: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("find the descriptor of /dev/fuse: %w", err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var st unix.Stat_t
		// One that was closed since is not the mount's.
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR &&
			st.Rdev == device.Rdev {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

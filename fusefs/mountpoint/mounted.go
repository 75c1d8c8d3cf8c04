package mountpoint

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"instarfs/mountinfo"
)

// Detach takes the mount at point out of the tree of names, by fusermount3 if this process may not
// unmount. The mount lives on until its last file is closed. If nothing is mounted there, somebody
// else was faster, and that is no error. point has no symbolic links.
func Detach(point string) error {
	err := unix.Unmount(point, unix.MNT_DETACH)
	switch {
	case errors.Is(err, unix.EINVAL): // not a mount point
		return nil
	case !errors.Is(err, unix.EPERM):
		return err
	}
	helper, err := fusermount()
	if err != nil {
		return err
	}
	if out, err := exec.Command(helper, "-u", "-z", point).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSpace(string(out)), err)
	}
	return nil
}

// SetReadAhead sets how far the kernel reads ahead in the mount at point, KiB, which only root may.
// /sys may be missing, which is no error, or read-only, as in containers.
func SetReadAhead(point string, kib int) error {
	m, mounted, err := mountinfo.At(point)
	if err != nil || !mounted {
		return err
	}
	name := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb",
		unix.Major(m.Device), unix.Minor(m.Device))
	err = os.WriteFile(name, []byte(strconv.Itoa(kib)), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

package mountpoint

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// CheckFUSE looks for whatever keeps FUSE from mounting at point, and returns an error that says
// what to do about it. allowOther says whether other users will be let in.
func CheckFUSE(point string, allowOther bool) error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("mount at %s: %w; the device is not allowed here: give it to the "+
			"container (--device /dev/fuse) or to the service (DeviceAllow=/dev/fuse rw)",
			point, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("mount at %s: %w; mount as root, or let users in with: "+
			"chmod 666 /dev/fuse", point, err)
	case err != nil:
		return fmt.Errorf("mount at %s: %w; load the module with: modprobe fuse "+
			"(a container needs --device /dev/fuse)", point, err)
	}
	f.Close()
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := fusermount(); err != nil {
		return fmt.Errorf("mount at %s: fusermount3 is not installed, it lets users mount; "+
			"install the package fuse3", point)
	}
	if allowOther && !userAllowOther() {
		return fmt.Errorf("mount at %s: other users may be let in by root only; "+
			"add the line user_allow_other to /etc/fuse.conf", point)
	}
	return nil
}

// fusermount finds the program that mounts and unmounts for users.
func fusermount() (string, error) {
	path, err := exec.LookPath("fusermount3")
	if err == nil {
		return path, nil
	}
	return exec.LookPath("fusermount")
}

// Reason words an error of a mount. What fusermount3 has to say it prints itself, on a line of its
// own; go-fuse then tells the status as waitpid(2) has it, eight bits too high.
func Reason(err error) string {
	text := strings.TrimSpace(err.Error())
	var status int
	if _, err := fmt.Sscanf(text, "fusermount exited with code %d", &status); err == nil {
		return fmt.Sprintf("fusermount3 failed with status %d, and said why", status>>8)
	}
	return text
}

// userAllowOther reports whether /etc/fuse.conf lets users pass allow_other, see mount.fuse3(8).
func userAllowOther() bool {
	f, err := os.Open("/etc/fuse.conf")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "user_allow_other" {
			return true
		}
	}
	return false
}

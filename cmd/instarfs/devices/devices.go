// Package devices says whether what a mount needs of the system is there, and what to do if not.
package devices

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// CheckFUSE says why FUSE is not usable, and what to do.
func CheckFUSE() error {
	return open("/dev/fuse", "load the module (modprobe fuse)",
		"its mode should be 0666 (udev rules of the package fuse3), or run as root")
}

// FindFusermount looks for the program that mounts for users.
func FindFusermount() error {
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return errors.New("fusermount3, which mounts for users other than root, is not found: " +
			"install the package fuse3")
	}
	return nil
}

// open checks that a device can be opened, and words why not.
func open(name, missing, forbidden string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s does not exist: %s", name, missing)
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf(
			"%s is not allowed here: give it to the container (--device %s) or to the "+
				"service (DeviceAllow=%s rw)", name, name, name)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no permission to open %s: %s", name, forbidden)
	case err != nil:
		return err
	}
	return f.Close()
}

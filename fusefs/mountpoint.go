package fusefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkMountpoint makes sure that a mount at point can work, and returns the path of point without symbolic links. A dead
// mount that an instarfs left there is removed.
func checkMountpoint(source, point string, log *logger) (string, error) {
	real, err := realMountpoint(point, log)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return "", fmt.Errorf("mount at %s: %w", point, plain(err))
	case !info.IsDir():
		return "", fmt.Errorf("mount at %s: it is not a directory", point)
	}
	if err := checkOverlap(source, real); err != nil {
		return "", err
	}
	m, mounted, err := mountAt(real)
	if err != nil {
		return "", fmt.Errorf("mount at %s: %w", point, err)
	}
	// automount points are mounts that wait for another on top.
	if mounted && m.fsType != "autofs" {
		return "", fmt.Errorf("mount at %s: %s (type %s) is mounted there already; unmount it or choose a directory below it",
			point, m.source, m.fsType)
	}
	return real, nil
}

// realMountpoint resolves symbolic links, and clears a dead mount of ours.
func realMountpoint(point string, log *logger) (string, error) {
	abs, err := filepath.Abs(point)
	if err != nil {
		return "", fmt.Errorf("mount at %s: %w", point, err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if err == nil {
		// A dead mount point can still be resolved; only looking into it fails.
		_, err = os.Stat(real)
	}
	if err == nil {
		return real, nil
	}
	if !errors.Is(err, syscall.ENOTCONN) {
		return "", fmt.Errorf("mount at %s: %w", point, plain(err))
	}
	if parent, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		real = filepath.Join(parent, filepath.Base(abs))
	}
	m, ok, err := mountAt(real)
	if err != nil || !ok || m.fsType != fsType {
		return "", fmt.Errorf("mount at %s: a dead file system is mounted there; unmount it with: umount -l %s", point, abs)
	}
	if err := detach(real); err != nil {
		return "", fmt.Errorf("mount at %s: removing the dead mount there: %w", point, err)
	}
	log.printf("mount at %s: removed a dead mount of %s", point, m.source)
	return real, nil
}

// checkOverlap refuses a mount point in the source and the reverse: reading the mount would go through the mount.
func checkOverlap(source, point string) error {
	real, err := filepath.EvalSymlinks(source)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", source, plain(err))
	}
	for _, c := range []struct{ inner, outer, format string }{
		{point, real, "mount %s at %s: the mount point is inside the source; choose one outside"},
		{real, point, "mount %s at %s: the source is inside the mount point; choose one outside"},
	} {
		inside, err := contains(c.outer, c.inner)
		if err != nil {
			return fmt.Errorf("mount %s at %s: %w", source, point, err)
		}
		if inside {
			return fmt.Errorf(c.format, source, point)
		}
	}
	return nil
}

// contains reports whether directory outer is inner or one of its ancestors. It compares devices and inodes, so that bind
// mounts of the same directory are found too.
func contains(outer, inner string) (bool, error) {
	var want, have unix.Stat_t
	if err := unix.Stat(outer, &want); err != nil {
		return false, fmt.Errorf("stat %s: %w", outer, err)
	}
	for {
		if err := unix.Stat(inner, &have); err != nil {
			return false, fmt.Errorf("stat %s: %w", inner, err)
		}
		if have.Dev == want.Dev && have.Ino == want.Ino {
			return true, nil
		}
		parent := filepath.Dir(inner)
		if parent == inner {
			return false, nil
		}
		inner = parent
	}
}

// plain strips an error of the path, which the message already names.
func plain(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

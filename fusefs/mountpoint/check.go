package mountpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/mountinfo"
)

// checkTime is how long Check may take. Servers of file systems on the way may be stopped, or far
// away.
const checkTime = 5 * time.Second

// Check makes sure that a directory source can be mounted at point, and returns the path of point
// without symbolic links. It removes dead mounts of instarfs there, with a line to log for each. It
// takes at most five seconds; an error is one line that says what to do.
func Check(source, point string, log Log) (real string, err error) {
	real, err = within(checkTime, func() (string, error) {
		real, err := realMountpoint(point)
		if err == nil {
			err = clearDead(real, point, log)
		}
		if err == nil {
			err = checkFree(source, real, point)
		}
		return real, err
	})
	if errors.Is(err, errNoAnswer) {
		err = fmt.Errorf("mount %s at %s: a file system on the way to one of them does not answer "+
			"within %v", source, point, checkTime)
	}
	return real, err
}

// checkFree makes sure that real is a directory apart from the source on which nothing is mounted.
func checkFree(source, real, point string) error {
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return fmt.Errorf("mount at %s: %w", point, plain(err))
	case !info.IsDir():
		return fmt.Errorf("mount at %s: it is not a directory", point)
	}
	if err := checkOverlap(source, real); err != nil {
		return err
	}
	m, mounted, err := mountinfo.At(real)
	if err != nil {
		return fmt.Errorf("mount at %s: %w", point, err)
	}
	if mounted && m.Type != "autofs" {
		return fmt.Errorf("mount at %s: %s (type %s) is mounted there already; "+
			"unmount it or choose a directory below it", point, m.Source, m.Type)
	}
	return nil
}

// maxLinks bounds the symbolic links from a mount point to the next, as in the kernel.
const maxLinks = 40

// realMountpoint resolves symbolic links. It does not touch what is mounted at the place to which
// they lead, because its server may be dead or stopped.
func realMountpoint(point string) (string, error) {
	real, err := filepath.Abs(point)
	for range maxLinks {
		if err != nil {
			break
		}
		// Not filepath.Dir, which would take a/.. out although a may be a link.
		dir, name := filepath.Split(strings.TrimRight(real, "/"))
		if name == "" || name == "." || name == ".." {
			dir, name = real, ""
		}
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			break
		}
		real = filepath.Join(dir, name)
		if _, mounted, _ := mountinfo.At(real); mounted {
			return real, nil
		}
		target, linkErr := os.Readlink(real)
		if linkErr != nil {
			return real, nil // no link; whether it is a directory is seen later
		}
		if !filepath.IsAbs(target) {
			target = dir + "/" + target
		}
		real = target
	}
	if err == nil {
		err = syscall.ELOOP
	}
	return "", fmt.Errorf("mount at %s: %w", point, plain(err))
}

// checkOverlap refuses a mount point in the source, and a source in the mount point: reading the
// mount would read from the mount.
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

// contains reports whether directory outer is inner or one of its ancestors. It compares devices
// and inodes, and so finds bind mounts of the same directory too.
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

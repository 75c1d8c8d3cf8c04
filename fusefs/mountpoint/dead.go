package mountpoint

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/mountinfo"
)

const (
	// statfsTime is how long a file system may take to answer before it counts as silent. It is
	// more than a busy one needs, and less than what a person waits.
	statfsTime = 2 * time.Second
	// maxStacked bounds the dead mounts that are removed from one directory.
	maxStacked = 64
)

var errNoAnswer = errors.New("no answer")

// within returns what f returns, or errNoAnswer if that takes longer than limit. f then continues
// on a goroutine of its own: a thread that waits in the kernel cannot be called back.
func within[T any](limit time.Duration, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-time.After(limit):
		var none T
		return none, errNoAnswer
	}
}

// ask sends the file system at path a request that the kernel never answers from memory. The error
// is ENOTCONN if its server is dead, and errNoAnswer if there is no answer.
func ask(path string) error {
	_, err := within(statfsTime, func() (none struct{}, err error) {
		var st unix.Statfs_t
		for {
			if err = unix.Statfs(path, &st); err != unix.EINTR {
				return none, err
			}
		}
	})
	return err
}

// clearDead removes the mounts of instarfs on real whose servers are dead, and no others. point is
// the directory as the user named it.
func clearDead(real, point string, log Log) error {
	for range maxStacked {
		m, mounted, err := mountinfo.At(real)
		if err != nil {
			return fmt.Errorf("mount at %s: %w", point, err)
		}
		// automount points are mounts that wait for another on top; asking one would bring it in.
		if !mounted || m.Type == "autofs" {
			return nil
		}
		switch err := ask(real); {
		case errors.Is(err, errNoAnswer):
			return fmt.Errorf(
				"mount at %s: the server of what is mounted there (%s, type %s) does "+
					"not answer within %v: it may be stopped; let it continue, or detach its "+
					"mount with: "+
					"umount -l %s",
				point, m.Source, m.Type, statfsTime, real)
		case !errors.Is(err, unix.ENOTCONN):
			return nil // it lives, or fails in a way that the checks that follow see too
		case m.Type != FSType:
			return fmt.Errorf("mount at %s: a dead file system (%s, type %s) is mounted there; "+
				"unmount it with: umount -l %s",
				point, m.Source, m.Type, real)
		}
		if err := Detach(real); err != nil {
			return fmt.Errorf("mount at %s: removing the dead mount there: %w", point, err)
		}
		log("mount at %s: removed a dead mount of %s", point, m.Source)
	}
	return fmt.Errorf("mount at %s: more than %d dead mounts are stacked there; "+
		"unmount them with: umount -l %s", point, maxStacked, real)
}

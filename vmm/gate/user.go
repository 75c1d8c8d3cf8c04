package gate

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"instarfs/vmm/bug"
)

// User is a user whose rights to files a call can have: what the kernel compares with the owner,
// the group, the mode and the access control list of files. It must not be modified once in use.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups
	// Above: the user must be able to search the directories above a Tree too, not only those in
	// it.
	Above bool
}

// ErrRights says that the process cannot act with the rights of a user: it takes CAP_SETUID,
// CAP_SETGID, and one of the capabilities that make the permissions of files not count.
var ErrRights = fmt.Errorf("cannot act with the rights of another user: %w", unix.EACCES)

// as calls f with the rights of u. The thread is given back only with the rights that it had.
func as[T any](u *User, f func() (T, error)) (value T, err error) {
	if u == nil {
		return guarded(f)
	}
	runtime.LockOSThread()
	own, err := become(u)
	if err == nil {
		value, err = guarded(f)
	}
	if own.restore() == nil {
		// Otherwise the goroutine ends with its thread locked, and the thread ends with it.
		runtime.UnlockOSThread()
	}
	return value, err
}

// guarded calls f. A panic is the error of this call alone.
func guarded[T any](f func() (T, error)) (value T, err error) {
	err = bug.Guard(func() (err error) {
		value, err = f()
		return err
	})
	return value, err
}

// rights are what a thread may do with files, see credentials(7) and capabilities(7).
type rights struct {
	fsuid, fsgid int
	groups       []int
	caps         [2]unix.CapUserData
}

// switchCaps are the capabilities that it takes to act for others and to come back, and fileCaps
// those that make the permissions of files not count: who has none of these must not gain by being
// another.
const (
	switchCaps = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	fileCaps   = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
)

func capHeader() *unix.CapUserHeader {
	return &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
}

// become gives this thread, which must be locked, the rights of u. What it returns restores the
// thread, also after an error.
func become(u *User) (own rights, err error) {
	own.fsuid, own.fsgid = os.Geteuid(), os.Getegid()
	if own.groups, err = unix.Getgroups(); err != nil {
		return own, err
	}
	if err := unix.Capget(capHeader(), &own.caps[0]); err != nil {
		return own, err
	}
	if own.caps[0].Effective&fileCaps == 0 {
		return own, ErrRights
	}
	groups := make([]int, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = int(g)
	}
	// Of this thread only: those of package syscall would change all.
	if err := unix.Setgroups(groups); err != nil {
		return own, ErrRights
	}
	if err := setFS(int(u.UID), int(u.GID)); err != nil {
		return own, err
	}
	// The kernel takes some from a thread whose fsuid becomes other than 0, but not from root.
	less := own.caps
	less[0].Effective &= switchCaps
	less[1].Effective = 0
	if err := unix.Capset(capHeader(), &less[0]); err != nil {
		return own, ErrRights
	}
	return own, nil
}

// restore undoes become.
func (own *rights) restore() error {
	if err := setFS(own.fsuid, own.fsgid); err != nil {
		return err
	}
	if err := unix.Setgroups(own.groups); err != nil {
		return err
	}
	return unix.Capset(capHeader(), &own.caps[0])
}

// setFS sets what the kernel compares with owners and groups of files. setfsuid(2) reports no
// errors; asking with an ID that cannot exist returns the present one.
func setFS(uid, gid int) error {
	_ = unix.Setfsgid(gid)
	_ = unix.Setfsuid(uid)
	if is, _ := unix.SetfsgidRetGid(-1); is != gid {
		return ErrRights
	}
	if is, _ := unix.SetfsuidRetUid(-1); is != uid {
		return ErrRights
	}
	return nil
}

// CanBecome reports whether Do can act with the rights of any user.
var CanBecome = sync.OnceValue(func() bool {
	done := make(chan error, 1)
	go func() {
		const nobody = 65534
		who := &User{UID: nobody, GID: nobody}
		_, err := as(who, func() (struct{}, error) { return struct{}{}, nil })
		done <- err
	}()
	return <-done == nil
})

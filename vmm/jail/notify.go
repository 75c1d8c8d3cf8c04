package jail

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"instarfs/vmm/session"
)

// refused returns an error if the child waits in a system call that its filter does not allow, else
// nil. The kernel never makes the call: the child ends with its run.
func (c *child) refused() *session.GuestError {
	if c.listener < 0 {
		return nil
	}
	p := []unix.PollFd{{Fd: int32(c.listener), Events: unix.POLLIN}}
	if n, err := unix.Poll(p, 0); err != nil || n != 1 || p[0].Revents&unix.POLLIN == 0 {
		return nil
	}
	// struct seccomp_notif: id u64, pid u32, flags u32, nr i32, arch u32, instruction_pointer u64,
	// six arguments u64.
	var b [80]byte
	if receiveNotification(c.listener, &b) != nil {
		return nil // the thread has ended
	}
	e := session.Errorf(session.KindSyscall, "system call %d", binary.NativeEndian.Uint32(b[16:]))
	e.RIP = binary.NativeEndian.Uint64(b[24:])
	return e
}

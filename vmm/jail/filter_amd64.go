package jail

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	// foreignFrom is where the numbers of system calls of another ABI begin: x32.
	foreignFrom = 0x40000000
)

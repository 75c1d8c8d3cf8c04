package jail

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	// foreignFrom is 0: a process of this machine has no numbers of another ABI.
	foreignFrom = 0
)

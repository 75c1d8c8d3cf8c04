package process

// System calls of x86-64 Linux (arch/x86/entry/syscalls/syscall_64.tbl).
const (
	sysRead      = 0
	sysWrite     = 1
	sysWritev    = 20
	sysClone     = 56
	sysFcntl     = 72
	sysExitGroup = 231
)

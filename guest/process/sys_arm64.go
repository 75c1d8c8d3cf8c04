package process

// System calls of arm64 Linux (include/uapi/asm-generic/unistd.h).
const (
	sysFcntl     = 25
	sysRead      = 63
	sysWrite     = 64
	sysWritev    = 66
	sysExitGroup = 94
	sysClone     = 220
)

package process

// syscall6 makes a system call as it is, and returns what the kernel does: a value, or a negative
// error number. The Go runtime does not notice it, and may not run another goroutine meanwhile.
//
//go:noescape
func syscall6(nr, a1, a2, a3, a4, a5, a6 uintptr) uintptr

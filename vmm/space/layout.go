package space

import "instarfs/guest/abi"

const (
	PageLen = 4096

	// RAM outside of the shared window is handed out page by page from FirstFrame: page tables, the
	// guest's program, its stack, what it maps.
	FirstFrame = PageLen // frame 0 stays unused, so that a zero address is never valid
	EndFrame   = abi.SharedGPA

	// EagerLen is the longest mapping, in bytes, that gets its memory at once. The Go runtime maps
	// a table of 32 MiB of which it uses a page or two: longer mappings get memory where they are
	// touched, faultLen bytes around.
	EagerLen = 16 << 20
	FaultLen = 16 * PageLen
)

// Guest-virtual addresses of what the host provides beside abi's. The program may map memory below
// SystemVA only.
const (
	SystemVA = 0x7c0000000000

	TrapVA    = SystemVA          // one page, user-executable: see trapPage
	GDTVA     = SystemVA + 0x1000 // supervisor only, like the three that follow
	TSSVA     = SystemVA + 0x2000
	IDTVA     = SystemVA + 0x3000
	TrapStack = SystemVA + 0x6000 // the end of one page; exceptions push here
	VDSOVA    = SystemVA + 0x7000 // one page, user-executable: see sharedObject
	ClockVA   = SystemVA + 0x8000 // one page, user-writable: the time, ns

	StackTopVA = 0x7d0000100000
	StackLen   = 256 << 10

	MmapVA = 0x100000000000 // where mmap calls without an address go
)

// Offsets in the trap page.
const (
	LSTAROffset  = 0
	VectorOffset = 0x100
	VectorStride = 8
	Vectors      = 32
)

// Segment selectors. SYSCALL and SYSRET derive theirs from MSR_STAR.
const (
	KernelCS = 0x08
	KernelSS = 0x10
	UserSS   = 0x23 // index 4, RPL 3
	UserCS   = 0x2b // index 5, RPL 3
	TSSSel   = 0x30
)

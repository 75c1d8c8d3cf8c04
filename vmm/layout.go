package vmm

import "instarfs/guest/abi"

const (
	pageLen = 4096

	// RAM outside of the shared window is handed out page by page from firstFrame: page tables, the
	// guest's program, its stack, what it maps.
	firstFrame = pageLen // frame 0 stays unused, so that a zero address is never valid
	endFrame   = abi.SharedGPA

	// eagerLen is the longest mapping, in bytes, that gets its memory at once. The Go runtime maps
	// a table of 32 MiB of which it uses a page or two: longer mappings get memory where they are
	// touched, faultLen bytes around.
	eagerLen = 16 << 20
	faultLen = 16 * pageLen
)

// Guest-virtual addresses of what the host provides beside abi's. The program may map memory below
// systemVA only.
const (
	systemVA = 0x7c0000000000

	trapVA    = systemVA          // one page, user-executable: see trapPage
	gdtVA     = systemVA + 0x1000 // supervisor only, like the three that follow
	tssVA     = systemVA + 0x2000
	idtVA     = systemVA + 0x3000
	trapStack = systemVA + 0x6000 // the end of one page; exceptions push here
	vdsoVA    = systemVA + 0x7000 // one page, user-executable: see sharedObject
	clockVA   = systemVA + 0x8000 // one page, user-writable: the time, ns

	stackTopVA = 0x7d0000100000
	stackLen   = 256 << 10

	mmapVA = 0x100000000000 // where mmap calls without an address go
)

// Offsets in the trap page.
const (
	lstarOffset  = 0
	vectorOffset = 0x100
	vectorStride = 8
	vectors      = 32
)

// Segment selectors. SYSCALL and SYSRET derive theirs from MSR_STAR.
const (
	kernelCS = 0x08
	kernelSS = 0x10
	userSS   = 0x23 // index 4, RPL 3
	userCS   = 0x2b // index 5, RPL 3
	tssSel   = 0x30
)

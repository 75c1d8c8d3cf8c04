#include "textflag.h"

// func store32(addr uintptr, v uint32)
// A doorbell or a device register: the store leaves the guest, and memory may have changed when it returns. That the
// compiler cannot see into this function keeps it from holding such memory in registers.
TEXT ·store32(SB),NOSPLIT,$0-12
	MOVQ addr+0(FP), AX
	MOVL v+8(FP), CX
	MOVL CX, (AX)
	RET

// func load32(addr uintptr) uint32
TEXT ·load32(SB),NOSPLIT,$0-12
	MOVQ addr+0(FP), AX
	MOVL (AX), CX
	MOVL CX, ret+8(FP)
	RET

// func pointer(addr uintptr) unsafe.Pointer
TEXT ·pointer(SB),NOSPLIT,$0-16
	MOVQ addr+0(FP), AX
	MOVQ AX, ret+8(FP)
	RET

#include "textflag.h"

// func entry()
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	CMPQ 0(SP), $2                  // argc
	JEQ  first
	JMP  _rt0_amd64_linux(SB)

first:
	ANDQ $~15, SP
	// Code between assembly and Go loads the current goroutine from the thread's memory, if only
	// not to use it.
	MOVQ $158, AX                   // arch_prctl
	MOVQ $0x1002, DI                // ARCH_SET_FS
	LEAQ ·start+8(SB), SI
	SYSCALL
	CALL ·confine(SB)
	INT  $3                         // it does not return

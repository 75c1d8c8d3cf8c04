#include "go_asm.h"
#include "textflag.h"

// entry is the first code of the program (the linker's option -E), before the Go runtime reserves
// addresses, because the runtime ends the program in many lines when it gets too few. See addresses.go.
//
// func entry()
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	SUBQ $16, SP                    // struct rlimit
	MOVQ $97, AX                    // getrlimit
	MOVQ $9, DI                     // RLIMIT_AS
	MOVQ SP, SI
	SYSCALL
	TESTQ AX, AX
	JNE  start
	MOVQ 0(SP), BX                  // rlim_cur; without a limit it is the highest number there is
	MOVQ $const_leastAddresses, CX
	CMPQ BX, CX
	JCS  refuse
	MOVQ $const_fewAddresses, CX
	CMPQ BX, CX
	JLS  start
	MOVQ $const_manyAddresses, DX
	CMPQ BX, DX
	JCC  start
	MOVQ CX, 0(SP)
	MOVQ $160, AX                   // setrlimit
	MOVQ $9, DI
	MOVQ SP, SI
	SYSCALL
	TESTQ AX, AX
	JNE  start
	MOVQ BX, ·loweredFrom(SB)

start:
	ADDQ $16, SP
	JMP  _rt0_amd64_linux(SB)

refuse:
	MOVQ $1, AX                     // write
	MOVQ $2, DI
	MOVQ ·tooFewAddresses+0(SB), SI
	MOVQ ·tooFewAddresses+8(SB), DX
	SYSCALL
	MOVQ $231, AX                   // exit_group
	MOVQ $1, DI
	SYSCALL
	INT  $3

package space

import "instarfs/guest/abi"

// ConstantCalls are the system calls whose answer is 0 whatever they ask for: memory is never taken
// back, and there are no signals. The trap page answers them without an exit; the Go runtime makes
// more than a hundred of them when it starts.
var ConstantCalls = [...]byte{
	11,  // munmap (arch/x86/entry/syscalls/syscall_64.tbl)
	13,  // rt_sigaction
	14,  // rt_sigprocmask
	28,  // madvise
	72,  // fcntl
	131, // sigaltstack
}

// trapPage is the only code that the host brings, apart from the clock. At lstarOffset stands what
// SYSCALL enters, at CPL0 on hardware and at CPL3 on a PVM-type KVM, where SYSCALL changes no
// privilege. At vectorOffset stand the exception handlers, one hlt each: the address of the exit
// tells the vector.
func trapPage() []byte {
	b := make([]byte, PageLen)
	for i := range b {
		b[i] = 0xf4 // hlt
	}
	copy(b[LSTAROffset:VectorOffset], systemCall())
	return b
}

// systemCall answers a constant call, and hands all others to the host. Of the registers it may
// change RAX, RCX and R11 only. RCX is where SYSCALL was, so it is an address below systemVA and
// SYSRET cannot fault at CPL0.
func systemCall() []byte {
	returns := []byte{
		0x8c, 0xc8, // mov %cs, %eax
		0xa8, 0x03, // test $3, %al
		0x75, 0x05, // jnz: at CPL3
		0x31, 0xc0, // xor %eax, %eax
		0x48, 0x0f, 0x07, // sysretq
		0x31, 0xc0, // at CPL3: xor %eax, %eax
		0xff, 0xe1, // jmp *%rcx
	}
	const testLen, bellLen = 7, 9
	var b []byte
	for i, nr := range ConstantCalls {
		after := testLen*(len(ConstantCalls)-1-i) + bellLen
		b = append(b,
			0x3d, nr, 0, 0, 0, // cmp $nr, %eax
			0x74, byte(after)) // je: to what returns
	}
	b = append(b, 0xa3) // mov %eax, moffs64; when the host goes on, it is elsewhere
	b = le.AppendUint64(b, abi.DoorbellVA+abi.BellSyscall)
	return append(b, returns...)
}

package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"instarfs/needs"
)

// denied has a child answer a system call with an error before it does anything else: "NUMBER
// ERRNO".
const denied = "INSTARFS_TEST_DENY"

// deny is what a seccomp filter of a service manager or of a container runtime does.
func deny(list string) {
	var nr, errno uint32
	if _, err := fmt.Sscan(list, &nr, &errno); err != nil {
		panic(err)
	}
	const load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS,
		unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K,
		unix.BPF_RET | unix.BPF_K
	code := []unix.SockFilter{
		{Code: load}, // of struct seccomp_data the first word is the number
		{Code: equal, K: nr, Jf: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO | errno},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		panic(e)
	}
}

// Without openat2 nothing keeps a path beneath the source: doctor and mount say so, and what to do.
func TestWithoutOpenat2(t *testing.T) {
	needs.FUSE(t)
	source := smallSource(t)
	for _, e := range []syscall.Errno{syscall.ENOSYS, syscall.EPERM} {
		point := t.TempDir()
		for _, args := range [][]string{{"doctor"}, {"mount", source, point}} {
			cmd := child(realChild, args...)
			cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d %d", denied, unix.SYS_OPENAT2, int(e)))
			out, _ := cmd.CombinedOutput()
			said := string(out)
			if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said, e.Error()) ||
				!strings.Contains(said, "seccomp filter") {
				t.Errorf("%q where openat2 says %v: %v, %s", args, e, cmd.ProcessState, said)
			}
			if args[0] == "mount" && strings.Count(said, "\n") != 1 {
				t.Errorf("mount has more than one line to say: %s", said)
			}
		}
		if isMounted(t, point) {
			t.Errorf("%s is mounted", point)
		}
	}
	cmd := child(realChild, "doctor")
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d %d", denied, unix.SYS_SYNC, int(syscall.EPERM)))
	if out, err := cmd.CombinedOutput(); err != nil ||
		!strings.Contains(string(out), "openat2     ok\n") {
		t.Errorf("doctor where another call is filtered: %v, %s", err, out)
	}
}

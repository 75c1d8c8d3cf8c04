package caller

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

func TestFatalPending(t *testing.T) {
	const status = "Name:\tcat\nSigQ:\t0/1\nSigPnd:\t%016x\nShdPnd:\t%016x\n" +
		"SigBlk:\t%016x\nSigIgn:\t%016x\nSigCgt:\t%016x\n"
	kill, term, alrm := bit(syscall.SIGKILL), bit(syscall.SIGTERM), bit(syscall.SIGALRM)
	for _, c := range []struct {
		name                                      string
		thread, process, blocked, ignored, caught uint64
		want                                      bool
	}{
		{"nothing", 0, 0, 0, 0, 0, false},
		{"killed", kill, 0, 0, 0, 0, true},
		{"killed with all blocked", 0, kill, ^uint64(0), 0, 0, true},
		{"handled alarm", 0, alrm, 0, 0, alrm, false},
		{"alarm", alrm, 0, 0, 0, 0, true},
		{"blocked alarm", alrm, 0, alrm, 0, 0, false},
		{"handled TERM", 0, term, 0, 0, term, true},
		{"ignored TERM", 0, term, 0, term, 0, false},
		{"child, stop, window, urgent", bit(syscall.SIGCHLD) | bit(syscall.SIGTSTP),
			bit(syscall.SIGWINCH) | bit(syscall.SIGURG), 0, 0, 0, false},
		{"real time", 1 << 40, 0, 0, 0, 0, true},
	} {
		text := fmt.Appendf(nil, status, c.thread, c.process, c.blocked, c.ignored, c.caught)
		if got := fatalPending(text); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if dying(uint32(os.Getpid())) {
		t.Error("this process is said to be dying")
	}
}

package jail

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"instarfs/needs"

	"golang.org/x/sys/unix"
)

// otherUser is a user who has no processes.
const otherUser = 61234

// asOther makes a command that of an ordinary user.
func asOther(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: otherUser, Gid: otherUser},
	}
}

// asItsOwnRoot makes a command root in a user namespace of its own, as unshare -rm does.
func asItsOwnRoot(cmd *exec.Cmd) {
	id := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: id, GidMappings: id,
	}
}

func asRoot(*exec.Cmd) {}

// withoutKill is root in a container that may not send signals to others.
func withoutKill(cmd *exec.Cmd) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd.Path = "/usr/bin/setpriv"
	cmd.Args = []string{"setpriv", "--bounding-set=-kill", "--inh-caps=-kill", self}
}

// TestEnvironments: wherever a host runs, its guests are confined as far as that lets them be,
// and it says what is missing; or none can be started, and it says in one line why.
func TestEnvironments(t *testing.T) {
	needs.Root(t) // who can become others
	const (
		served  = "served without: "
		bare    = served + "user namespace, namespaces, empty root"
		seccomp = "install a filter of system calls (allow seccomp(2) "
	)
	for _, test := range []struct {
		name  string
		as    func(*exec.Cmd)
		deeds string
		want  string
	}{
		{"root", asRoot, "serve", served},
		{"user", asOther, "serve", served},
		{"root of a user namespace", asItsOwnRoot, "serve", served + "other user"},

		{"no user namespaces", asRoot, "lock-out-user-namespaces serve", served + "user namespace"},
		{"no user namespaces for a user", asOther, "lock-out-user-namespaces serve", bare},
		{"no namespaces", asRoot, "lock-out-namespaces serve", bare},
		{"no namespaces for a user", asOther, "lock-out-namespaces serve", bare},
		{"no namespaces in one", asItsOwnRoot, "lock-out-namespaces serve", bare + ", other user"},
		{"no mounts", asRoot, "lock-out-mounts serve", served + "empty root"},
		{"no Landlock", asRoot, "lock-out-landlock serve", served + "Landlock"},
		{"no reports", asRoot, "lock-out-reports serve",
			served + "reporting of refused system calls"},
		{"nothing for a user", asOther,
			"lock-out-namespaces lock-out-landlock lock-out-reports serve",
			bare + ", Landlock, reporting of refused system calls"},
		{"no seccomp", asRoot, "open lock-out-seccomp fail", seccomp},
		{"no seccomp for a user", asOther, "open lock-out-seccomp fail", seccomp},

		{"4 GiB of addresses", asRoot, "addresses-4g serve", served},
		{"no descriptors", asRoot, "open serve no-files fail many-files serve",
			"too many open files"},
		{"no processes", asOther, "open lock-out-processes fail",
			"resource temporarily unavailable"},
		{"no close_range", asRoot, "lock-out-close-range serve", served},
		{"no close_range, and a file to inherit", asRoot, "lock-out-close-range leak descriptors",
			"descriptor 0\ndescriptor 2\n"},
		{"a file to inherit", asRoot, "leak descriptors", "descriptor 0\ndescriptor 2\n"},
		{"no execveat", asRoot, "open lock-out-exec fail",
			"execute the guest: operation not permitted"},
		{"no signals", withoutKill, "open lock-out-namespaces fail", "(give CAP_KILL to"},
		{"no /proc", asRoot, "empty-root open", "is /proc mounted?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := otherHost(t, strings.Fields(test.deeds)...)
			test.as(cmd)
			out, err := cmd.Output()
			said := string(out)
			recovered := err == nil && strings.HasSuffix(said, "\n"+served+"\n")
			switch {
			case strings.HasPrefix(test.want, served):
				missing, why, _ := strings.Cut(strings.TrimSuffix(said, "\n"), " (")
				refused := strings.Contains(test.deeds, "-namespaces") ||
					strings.Contains(test.deeds, "-reports")
				if err != nil || missing != test.want ||
					refused != strings.Contains(why, "operation not permitted") {
					t.Errorf("%v: %q, want %q", err, said, test.want)
				}
			case !strings.Contains(said, test.want):
				t.Errorf("%v: %q, want %q in it", err, said, test.want)
			case strings.HasSuffix(test.deeds, "serve") && !recovered:
				t.Errorf("did not recover: %v: %q", err, said)
			}
			t.Logf("%s", said)
		})
	}
}

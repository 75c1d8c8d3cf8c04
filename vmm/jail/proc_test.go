package jail

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"instarfs/needs"
	"instarfs/vmm/jail/jailtest"
	"instarfs/vmm/session"
)

// all are the measures that a computer with everything has.
var all = Measures{
	Namespaces: true, UserNamespace: true, EmptyRoot: true, Landlock: true, OtherUser: true,
	Reporting: true,
}

// force makes a pool start its children at a level, and with or without reports.
func (p *Pool) force(l level, report bool) {
	p.level, p.measures, p.known = l, Measures{Reporting: report}, true
}

// levelsHere are those that this user can have.
func levelsHere() []level {
	if os.Geteuid() != 0 {
		return []level{userNamespace, bare}
	}
	return []level{userNamespace, namespaces, bare}
}

func (l level) String() string { return [...]string{"user namespace", "namespaces", "bare"}[l] }

// TestWhatTheKernelSays looks at a child from outside, by /proc: while it waits for its job, and
// while it has one.
func TestWhatTheKernelSays(t *testing.T) {
	needs.Root(t) // who else may not look into a process that is not dumpable
	for _, l := range levelsHere() {
		for _, report := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v, report %v", l, report), func(t *testing.T) {
				p := newPool(t, session.Options{})
				p.force(l, report)
				if err := p.Warm(t.Context()); err != nil {
					t.Fatal(err)
				}
				p.eager = false // no other child
				pid := onlyChild(t)
				awaitState(t, pid, "T")
				confined(t, pid, l, report)
				image := newSlow(does{}.ask(1024, 512).add(jailtest.Spin, 3, nil))
				done := make(chan error)
				go func() {
					_, err := p.Run(t.Context(), image.job())
					done <- err
				}()
				<-image.reading
				confined(t, pid, l, report)
				close(image.release)
				eventually(t, func() error { // the threads of the script
					if n := len(files(t, pid, "task")); n < 5 {
						return fmt.Errorf("%d threads", n)
					}
					return nil
				})
				confined(t, pid, l, report)
				if err := unix.Kill(pid, unix.SIGKILL); err != nil {
					t.Error(err)
				}
				g := guestError(t, <-done)
				if g.Kind != session.KindKilled || !strings.Contains(g.What, "the kernel ended") {
					t.Error(g)
				}
			})
		}
	}
}

// files are the names in a directory of a process.
func files(t *testing.T, pid int, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

// procFile is the text of a file of a process.
func procFile(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// confined looks at all of a child that the kernel shows.
func confined(t *testing.T, pid int, l level, report bool) {
	t.Helper()
	filters := "1"
	if report {
		filters = "2"
	}
	number := fmt.Sprint(pid)
	want := map[string]string{
		"Seccomp": "2", "Seccomp_filters": filters, "NoNewPrivs": "1", "Groups": "",
		"Uid": "65534 65534 65534 65534", "Gid": "65534 65534 65534 65534", "NStgid": number,
	}
	if l != bare {
		want["NStgid"] += " 1"
	}
	for _, set := range []string{"Inh", "Prm", "Eff", "Bnd", "Amb"} {
		want["Cap"+set] = "0000000000000000"
	}
	for _, thread := range files(t, pid, "task") {
		have := map[string]string{}
		for line := range strings.Lines(procFile(t, pid, "task/"+thread+"/status")) {
			name, value, _ := strings.Cut(line, ":")
			have[name] = strings.Join(strings.Fields(value), " ")
		}
		for name, v := range want {
			if have[name] != v {
				t.Errorf("thread %s: %s is %q, want %q", thread, name, have[name], v)
			}
		}
	}
	openFiles(t, pid)
	surroundings(t, pid, l)
	limits(t, pid, l)
	ownership(t, pid)
}

// openFiles checks that a child has the stream to its host and its log, and nothing else.
func openFiles(t *testing.T, pid int) {
	t.Helper()
	if got := strings.Join(files(t, pid, "fd"), " "); got != "0 2" {
		t.Errorf("descriptors %s", got)
	}
	for fd, want := range map[string]string{"0": "socket:[", "2": "pipe:["} {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd))
		if !strings.HasPrefix(to, want) {
			t.Errorf("descriptor %s is %s, %v", fd, to, err)
		}
	}
	if info := procFile(t, pid, "fdinfo/2"); !strings.Contains(info, "flags:\t0104001\n") &&
		!strings.Contains(info, "flags:\t04001\n") {
		t.Errorf("the log is not only for writing: %s", info)
	}
}

// surroundings checks what a child could name, and that none of it is ours.
func surroundings(t *testing.T, pid int, l level) {
	t.Helper()
	for _, ns := range []string{"user", "pid", "mnt", "net", "ipc", "uts"} {
		own, err1 := os.Readlink("/proc/self/ns/" + ns)
		its, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns))
		shared := l == bare || ns == "user" && l == namespaces
		if ns == "net" || ns == "ipc" || ns == "uts" {
			shared = false // those of the thread that started it
		}
		if err1 != nil || err2 != nil || (own == its) != shared {
			t.Errorf("namespace %s of the test, %s of the child: %v, %v", own, its, err1, err2)
		}
	}
	if l != bare {
		for _, dir := range []string{"root", "cwd"} {
			if list := files(t, pid, dir); len(list) != 0 {
				t.Errorf("%s has %q", dir, list)
			}
		}
		mounts := procFile(t, pid, "mountinfo")
		if strings.Count(mounts, "\n") != 1 ||
			!strings.Contains(mounts, " / / ro,nosuid,nodev,noexec") {
			t.Errorf("mounts: %s", mounts)
		}
	}
	if env := procFile(t, pid, "environ"); env != strings.Join(environment, "\x00")+"\x00" {
		t.Errorf("environment %q", env)
	}
	if words := procFile(t, pid, "cmdline"); words != "instarfs-guest\x00" {
		t.Errorf("command line %q", words)
	}
	_, rest, _ := strings.Cut(procFile(t, pid, "stat"), ") ")
	own, err := unix.Getsid(0)
	if session := strings.Fields(rest)[3]; err != nil || session == fmt.Sprint(own) {
		t.Errorf("session %s, of the test %d, %v", session, own, err)
	}
}

// limits checks the resource limits of a child.
func limits(t *testing.T, pid int, l level) {
	t.Helper()
	text := procFile(t, pid, "limits")
	want := map[string]uint64{
		"address space": addressLimit, "data size": dataLimit, "stack size": stackLimit,
		"cpu time": 60 + cpuSpare, "file size": 0, "core file size": 0, "locked memory": 0,
		"msgqueue size": 0, "open files": 0,
	}
	if l == userNamespace {
		want["processes"] = threadLimit
	}
	for name, n := range want {
		_, line, _ := strings.Cut(text, "Max "+name+" ")
		var soft, hard uint64
		if _, err := fmt.Sscan(line, &soft, &hard); err != nil || soft != n || hard != n {
			t.Errorf("limit of %s: %d and %d, want %d; %v", name, soft, hard, n, err)
		}
	}
}

// ownership checks who else may look into a child: root only.
func ownership(t *testing.T, pid int) {
	t.Helper()
	for _, name := range []string{"mem", "environ", "maps", "fd"} {
		var st unix.Stat_t
		err := unix.Stat(fmt.Sprintf("/proc/%d/%s", pid, name), &st)
		if err != nil || st.Uid != 0 {
			t.Errorf("%s belongs to user %d, %v", name, st.Uid, err)
		}
	}
	if n := strings.TrimSpace(procFile(t, pid, "oom_score_adj")); n != "1000" {
		t.Errorf("oom_score_adj is %s", n)
	}
}

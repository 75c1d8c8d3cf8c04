package jail

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/vmm/ledger"
	"instarfs/vmm/sealed"
)

// handshakeLen is the size of the buffer for messages during a child's start, bytes.
const handshakeLen = 4096

// spawner starts children, all on one thread: they end when that does.
type spawner struct {
	program int // descriptor of the sealed guest program
	root    bool
	cpu     uint64 // seconds of processor time that a child may take
	books   *ledger.Ledger
	shared  uintptr // namespaces of the thread, as flags of clone(2), that its children share
}

// share gives this thread namespaces in which nothing is, for its children to share. To make and to
// end a network takes the kernel longer than all else of a child. Only root can do that: for others
// each child makes its own.
func (s *spawner) share() {
	const empty = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	if s.root && unix.Unshare(empty) == nil {
		s.shared = empty
	}
}

// childCost is the memory of a usual child and of the host's buffers for it, in bytes.
const childCost = 8 << 20

// spawn starts a child and confines it as far as the level goes.
func (s *spawner) spawn(l level, report bool) (*child, Measures, error) {
	lease := s.books.First()
	if err := lease.Grow(childCost); err != nil {
		return nil, Measures{}, err
	}
	c, err := s.start(lease)
	if err != nil {
		lease.Free()
		return nil, Measures{}, fmt.Errorf("start a process: %w", err)
	}
	m := Measures{Namespaces: l != bare, UserNamespace: l == userNamespace, Reporting: report}
	if err := s.confine(c, l, &m); err != nil {
		c.close()
		return nil, m, err
	}
	c.statm, err = unix.Open(fmt.Sprintf("/proc/%d/statm", c.pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		c.statm = -1 // its limits hold all the same
	}
	if err := c.signal(unix.SIGSTOP); err != nil {
		c.close()
		return nil, m, fmt.Errorf(
			"stop a process: %w (give CAP_KILL to the container or service that runs this)", err)
	}
	return c, m, nil
}

// spawnAlike starts a child, and fails if that is confined by less than an earlier one. The
// kernel may refuse a measure when it lacks memory, which a hostile guest may have caused.
func (s *spawner) spawnAlike(l level, earlier Measures) (*child, error) {
	c, m, err := s.spawn(l, earlier.Reporting)
	if err != nil {
		return nil, err
	}
	if lost := m.missing(earlier); len(lost) > 0 {
		c.close()
		return nil, fmt.Errorf("process isolation: a process was confined without: %s; "+
			"earlier ones were not", strings.Join(lost, ", "))
	}
	return c, nil
}

// confine confines a child that was just started. Afterwards it waits for its job.
func (s *spawner) confine(c *child, l level, m *Measures) error {
	self, other := c.pid, true
	if l != bare {
		self = 1
		var err error
		if other, err = s.fork(c, l); err != nil {
			return err
		}
	}
	var closed bool
	if err := c.carryOut(enclose(l, s.root, s.cpu, m, &closed)); err != nil {
		return err
	}
	if !closed {
		if err := c.closeEach(); err != nil {
			return err
		}
	}
	m.OtherUser = m.OtherUser && other
	door := lock(self, m.Reporting)
	if err := c.executeAnd(door); err != nil || !m.Reporting {
		return err
	}
	return c.takeListener()
}

// closeEach closes what the child inherited, where close_range(2) is not to be had.
func (c *child) closeEach() error {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.pid))
	if err != nil {
		return fmt.Errorf("close what a process inherited: %w", err)
	}
	s := newScript()
	for _, e := range list {
		if fd, err := strconv.ParseUint(e.Name(), 10, 31); err == nil && fd > programFD {
			s.demand("close what a process inherited", unix.SYS_CLOSE, value(fd))
		}
	}
	return c.carryOut(s)
}

// executeAnd executes the program again, which then carries out a script.
func (c *child) executeAnd(s *script) error {
	exec := execute()
	c.put(abi.MsgSteps, uint32(exec.Len()), exec.Encode())
	c.put(abi.MsgSteps, uint32(s.Len()), s.Encode())
	if err := c.await(c.flush); err != nil {
		return c.failed(err)
	}
	h, payload, err := c.answer()
	if err == nil && h.Kind == abi.MsgStepsDone && h.N == uint32(exec.Len()) {
		err = exec.judge(payload) // on success only the new program answers
	}
	if err != nil {
		return err
	}
	return c.judge(s, h, payload)
}

// start executes the program.
func (s *spawner) start(lease *ledger.Lease) (*child, error) {
	host, guest, err := newPair()
	if err != nil {
		return nil, err
	}
	defer unix.Close(guest)
	var pipe [2]int
	// Neither end blocks: a child whose log is full goes on without it.
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		unix.Close(host)
		return nil, fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(pipe[1])
	argv := []string{"instarfs-guest", "confine"} // see guest/process, entry
	pid, err := syscall.ForkExec(sealed.Path(s.program), argv, &syscall.ProcAttr{
		Dir: "/", Env: environment,
		Files: []uintptr{
			channelFD: uintptr(guest), spareFD: uintptr(pipe[1]), logFD: uintptr(pipe[1]),
			programFD: uintptr(s.program),
		},
		// In a session of its own the child gets no Ctrl-C from the terminal: the host handles
		// that.
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		unix.Close(host)
		unix.Close(pipe[0])
		return nil, err
	}
	// When memory runs out, the kernel should kill a guest rather than the host. This may fail.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("1000"), 0)
	return &child{
		channel: channel{fd: host, buf: make([]byte, handshakeLen)},
		pid:     pid, log: pipe[0], listener: -1, statm: -1,
		cpu: time.Duration(s.cpu) * time.Second, lease: lease, gone: make(chan struct{}),
	}, nil
}

// fork makes the child continue as a new process in namespaces of its own. That is a child of this
// thread, too. other reports whether it can be another user than a host that is root.
func (s *spawner) fork(c *child, l level) (other bool, err error) {
	c.put(abi.MsgFork, uint32(l.flags()&^s.shared|unix.CLONE_PARENT|uintptr(unix.SIGCHLD)), nil)
	if err := c.await(c.flush); err != nil {
		return false, c.failed(err)
	}
	h, _, err := c.answer()
	pid := int32(h.N)
	switch {
	case err != nil:
		return false, err
	case h.Kind != abi.MsgForked:
		return false, fmt.Errorf("message %d instead of a process", h.Kind)
	case pid <= 0:
		return false, fmt.Errorf("namespaces: %w", unix.Errno(-pid))
	}
	c.reap() // the old process
	c.pid, c.reaped = int(pid), false
	if l == userNamespace {
		return s.mapUsers(c.pid)
	}
	return true, nil
}

// mapUsers maps nobody in the user namespace of a process to nobody here or, if this process may
// not do that, to its own user. other reports whether a host that is root is not that user.
func (s *spawner) mapUsers(pid int) (other bool, err error) {
	write := func(file string, id int) error {
		name := fmt.Sprintf("/proc/%d/%s", pid, file)
		return os.WriteFile(name, fmt.Appendf(nil, "%d %d 1", nobody, id), 0)
	}
	if s.root && write("uid_map", nobody) == nil {
		return true, write("gid_map", nobody)
	}
	if err := write("uid_map", os.Geteuid()); err != nil {
		return false, err
	}
	// An unprivileged process may map a group only after it has denied setgroups(2).
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/setgroups", pid), []byte("deny"), 0); err != nil {
		return false, err
	}
	return !s.root, write("gid_map", os.Getegid())
}

// takeListener takes over the listener of the child's filter.
func (c *child) takeListener() error {
	s := shut(c.lastResult())
	c.put(abi.MsgSteps, uint32(s.Len()), s.Encode())
	if err := c.await(c.flush); err != nil {
		return c.failed(err)
	}
	err := c.await(func() (err error) {
		c.listener, err = c.receiveFD()
		return err
	})
	if err != nil {
		c.listener = -1
		return c.failed(err)
	}
	return c.done(s)
}

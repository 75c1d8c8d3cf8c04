package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// asOther is the argument with which this program serves requests of another process of it, as
// the user that it was started as.
const asOther = "as-other"

// otherUser owns nothing and is in no group.
const otherUser = 2001

// request asks a process to read a whole file, or to return its size.
type request struct {
	Stat bool
	Kept bool // the size that the kernel knows, without the mount being asked
	Name string
}

// answer is the result of a request.
type answer struct {
	Data  []byte
	Size  int64
	Errno syscall.Errno
}

// other is a process of another user.
type other struct {
	world *world
	cmd   *exec.Cmd
	in    io.Closer
	ask   *gob.Encoder
	hear  *gob.Decoder
}

func (w *world) startOther() (*other, error) {
	cmd := exec.Command("/proc/self/exe", asOther)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: otherUser, Gid: otherUser},
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &other{w, cmd, in, gob.NewEncoder(in), gob.NewDecoder(out)}, nil
}

func (o *other) end() {
	o.in.Close()
	_ = o.cmd.Wait()
}

// serveRequests is the main function of the other process.
func serveRequests() {
	requests, answers := gob.NewDecoder(os.Stdin), gob.NewEncoder(os.Stdout)
	for {
		var q request
		if requests.Decode(&q) != nil {
			return
		}
		if answers.Encode(carryOut(q)) != nil {
			return
		}
	}
}

func carryOut(q request) (a answer) {
	var err error
	if q.Stat {
		flags := 0
		if q.Kept {
			flags = unix.AT_STATX_DONT_SYNC
		}
		var st unix.Statx_t
		err = unix.Statx(unix.AT_FDCWD, q.Name, flags, unix.STATX_SIZE, &st)
		a.Size = int64(st.Size)
	} else {
		a.Data, err = os.ReadFile(q.Name)
	}
	if err != nil && !errors.As(err, &a.Errno) {
		a.Errno = syscall.EIO
	}
	return a
}

func (o *other) do(q request) (a answer, err error) {
	if err = o.ask.Encode(q); err == nil {
		err = o.hear.Decode(&a)
	}
	if err != nil {
		err = fmt.Errorf("the process of user %d: %w", otherUser, err)
	}
	return a, err
}

// attributesAge is how long the kernel may use attributes that all users were allowed to know.
const attributesAge = 1500 * time.Millisecond

// whileChanging are the errors of subjects that change while a user reads them who may not
// always do so.
var whileChanging = []syscall.Errno{syscall.EACCES, syscall.EBUSY, syscall.ENOENT}

// readAny reads or stats a map of any subject, whether or not the user may.
func (o *other) readAny(ctx context.Context, r *rand.Rand) error {
	pause(ctx, time.Duration(r.Intn(10))*time.Millisecond)
	s, view := pick(r, o.world.all), pick(r, append(views, reason))
	q := request{r.Intn(3) == 0, r.Intn(2) == 0, filepath.Join(o.world.point, s.name+view)}
	before := s.now.Load()
	a, err := o.do(q)
	if err != nil {
		return err
	}
	after := s.now.Load()
	m := stable(before, after)
	o.world.tally.did("read")
	switch {
	case view == reason:
		o.judgeReason(s, a, m)
	case q.Stat:
		if m != nil && m.closed && time.Since(m.since) > attributesAge && a.Size > 0 {
			o.world.tally.fault("another user saw the size of an "+s.kind, "%s: %d", s.name+view,
				a.Size)
		}
	case m != nil && m.closed && a.Errno != syscall.EACCES:
		o.world.tally.fault("another user was not refused an "+s.kind, "%s: %d bytes, errno %v",
			s.name+view, len(a.Data), a.Errno)
	case m == nil && slices.Contains(whileChanging, a.Errno):
	case m != nil && m.closed:
	case a.Errno != 0:
		what := fmt.Sprintf("%s, by another user, %v after its last change", s.name+view,
			time.Since(before.since))
		o.world.tally.failed("an "+s.kind, what, a.Errno)
	default:
		o.world.judge(s, view, a.Data, nil, before, after)
	}
	return nil
}

// judgeReason checks the reason that a user reads: for an image that the user may not read it must
// be empty, or that permission is denied.
func (o *other) judgeReason(s *subject, a answer, m *moment) {
	text := string(a.Data)
	if m != nil && m.closed && text != "" && !strings.Contains(text, "ermission denied") {
		o.world.tally.fault("another user was told of an "+s.kind, "%s", text)
	}
}

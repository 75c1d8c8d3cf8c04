package jail

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/guest/payload"
	"instarfs/vmm/jail/jailtest"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// giveUp is how long tests wait for what must happen. It only bounds how long a failure takes.
const giveUp = time.Minute

// built is where the hostile guest is built; empty if no test wanted it. TestMain removes it.
var built string

// hostileName is the built program.
func hostileName() string { return filepath.Join(built, "hostile") }

// hostileProgram builds the hostile guest, once.
var hostileProgram = sync.OnceValues(func() (program []byte, err error) {
	if built, err = os.MkdirTemp("", "instarfs-hostile"); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-ldflags=-E instarfs/guest/process.entry",
		"-o", hostileName(), "./jailtest/hostile")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w: %s", cmd, err, out)
	}
	return os.ReadFile(hostileName())
})

var testBudget = session.Budget{Time: time.Minute, Exits: 20000, Read: 16 << 20, Extents: 1000}

// newPool runs the hostile guest on a host of the test's.
func newPool(t testing.TB, o session.Options) *Pool {
	t.Helper()
	program, err := hostileProgram()
	if err != nil {
		t.Fatal(err)
	}
	return newPoolOf(t, program, o)
}

func newPoolOf(t testing.TB, program []byte, o session.Options) *Pool {
	t.Helper()
	if o.Budget == (session.Budget{}) {
		o.Budget = testBudget
	}
	p, err := NewPool(Options{
		Program: bytes.NewReader(program), Host: session.NewHost(o), Ahead: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// agentPool runs the real map guest.
func agentPool(t testing.TB, o session.Options) *Pool {
	t.Helper()
	agent, err := payload.Agent()
	if err != nil {
		t.Fatal(err)
	}
	program := make([]byte, agent.Size())
	if _, err := agent.ReadAt(program, 0); err != nil {
		t.Fatal(err)
	}
	return newPoolOf(t, program, o)
}

// does is a script, what the hostile guest does.
type does []byte

func (d does) add(kind, n uint32, payload []byte) does {
	return jailtest.Append(d[:len(d):len(d)], kind, n, payload)
}

// call makes a system call. Arguments are numbers, strings, and bytes whose address is passed.
func (d does) call(nr uint64, args ...any) does {
	var s abi.Steps
	d.step(&s, nr, args...)
	return d.steps(&s)
}

func (does) step(s *abi.Steps, nr uint64, args ...any) int {
	var list []abi.Arg
	for _, a := range args {
		switch a := a.(type) {
		case int:
			list = append(list, abi.Value(uint64(a)))
		case uint64:
			list = append(list, abi.Value(a))
		case string:
			list = append(list, s.String(a))
		case []byte:
			list = append(list, s.Bytes(a))
		case abi.Arg:
			list = append(list, a)
		default:
			panic(fmt.Sprintf("argument %T", a))
		}
	}
	return s.Add(nr, list...)
}

func (d does) steps(s *abi.Steps) does { return d.add(jailtest.Steps, uint32(s.Len()), s.Encode()) }

// want ends the guest unless the last call returned n.
func (d does) want(n int) does { return d.add(jailtest.Want, uint32(n), nil) }

// send sends a message with parts as its payload.
func (d does) send(kind, n uint32, parts ...[]byte) does {
	return d.add(jailtest.Send, 1, message(kind, n, parts...))
}

// ask asks for a read and receives the answer.
func (d does) ask(sector uint64, length uint32) does {
	d = d.send(abi.MsgRead, 1, request(sector, length))
	for ; length > 0; length -= min(length, abi.MaxData) {
		d = d.add(jailtest.Receive, abi.HeaderLen+min(length, abi.MaxData), nil)
	}
	return d
}

// good maps a disk of 4096 bytes, as a guest should.
func (d does) good() does {
	r := abi.Result{Format: 1, Extents: 1, VirtualSize: 4096}
	return d.send(abi.MsgDone, 1, records(whole(4096)), result(r))
}

// job is a run in which the guest does that.
func (d does) job() *session.Job {
	image := make(ram, 1<<20)
	copy(image, d)
	return &session.Job{Window: img.Whole, Image: image, Size: uint64(len(image))}
}

func message(kind, n uint32, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	b := make([]byte, abi.HeaderLen)
	abi.Header{Kind: kind, N: n, Length: uint32(len(body))}.Encode(b)
	return append(b, body...)
}

func whole(n uint64) extent.Extent { return extent.Extent{Length: n} }

func records(es ...extent.Extent) []byte {
	b := make([]byte, len(es)*abi.RecordLen)
	for i, e := range es {
		abi.PutRecord(b[i*abi.RecordLen:], e)
	}
	return b
}

func result(r abi.Result) []byte {
	b := make([]byte, abi.ResultLen)
	n, err := r.Encode(b)
	if err != nil {
		panic(err)
	}
	return b[:n]
}

// request is a request for a read, whole sectors or not.
func request(sector uint64, length uint32) []byte {
	b := make([]byte, abi.ReadLen)
	abi.PutRead(b, sector, length)
	return b
}

// ram is an image in memory.
type ram []byte

func (r ram) Peek(p []byte, off int64) bool {
	n := copy(p, r[off:])
	return n == len(p)
}

func (r ram) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(r).ReadAt(p, off)
}

// mustMap carries out a run that must be served.
func mustMap(t testing.TB, p *Pool) {
	t.Helper()
	l, err := p.Run(t.Context(), does{}.good().job())
	if err != nil || l.VirtualSize != 4096 || l.Map.Len() != 1 {
		t.Errorf("a good run: %+v, %v", l, err)
	}
}

// resources are what a process could run out of.
type resources struct{ descriptors, children, goroutines int }

func inUse(t testing.TB) (r resources) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		// The Go runtime makes two descriptors of its own when it needs them first.
		to, _ := os.Readlink("/proc/self/fd/" + f.Name())
		if !strings.HasPrefix(to, "anon_inode:[event") {
			r.descriptors++
		}
	}
	r.children, r.goroutines = len(children(t, os.Getpid())), runtime.NumGoroutine()
	return r
}

// children are the numbers of the processes whose parent is pid, zombies included.
func children(t testing.TB, pid int) (list []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		var state string
		var parent, child int
		if _, err := fmt.Sscan(rest, &state, &parent); err != nil {
			t.Fatalf("%s: %q: %v", f, b, err)
		}
		if _, err := fmt.Sscan(filepath.Base(filepath.Dir(f)), &child); err != nil {
			t.Fatal(err)
		}
		if parent == pid {
			list = append(list, child)
		}
	}
	return list
}

// settled waits until nothing is left of what happened since before. The books may be nil.
func settled(t testing.TB, before resources, books *ledger.Ledger) {
	t.Helper()
	eventually(t, func() error {
		runtime.GC()
		after, used := inUse(t), int64(0)
		if books != nil {
			used = books.Used()
		}
		if after.descriptors > before.descriptors || after.children > before.children ||
			after.goroutines > before.goroutines || used != 0 {
			return fmt.Errorf("before %+v, after %+v, %d bytes booked", before, after, used)
		}
		return nil
	})
}

// eventually waits until f has no error.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	for end := time.Now().Add(giveUp); ; time.Sleep(5 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

var le = binary.LittleEndian

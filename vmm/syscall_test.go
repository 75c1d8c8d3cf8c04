package vmm

import (
	"bytes"
	"math"
	"testing"

	"instarfs/guest/abi"
	"instarfs/vmm/kvm"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
	"instarfs/vmm/threads"
)

// testPaging is the address space of an empty program, without a machine.
func testPaging(t testing.TB) *space.Paging {
	t.Helper()
	mem, err := space.NewMemory(abi.RAMLen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mem.Close)
	p, _, err := space.Populate(mem, &space.Program{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// testProcess is a process whose program has one page of data at dataVA, without a machine.
func testProcess(t testing.TB) *process {
	p := testPaging(t)
	if err := p.MapRange(dataVA, space.PageLen, space.UserWrite); err != nil {
		t.Fatal(err)
	}
	return &process{pages: p, threads: threads.New(), mmapNext: space.MmapVA}
}

// call makes one system call and returns what the program gets.
func (p *process) call(nr uint64, args ...uint64) (uint64, *session.GuestError) {
	r := kvm.Regs{RAX: nr, RCX: 0x400010, R11: 0x202, RSP: 0x1234}
	for i, v := range args {
		*[]*uint64{&r.RDI, &r.RSI, &r.RDX, &r.R10, &r.R8, &r.R9}[i] = v
	}
	err := p.syscall(&r)
	return r.RAX, err
}

const max64 = math.MaxUint64

func TestSystemCalls(t *testing.T) {
	tests := []struct {
		name string
		nr   uint64
		args []uint64
		want uint64
	}{
		{"write to stdout", _SYS_WRITE, []uint64{1, 0, 5}, 5},
		{"write to nowhere", _SYS_WRITE, []uint64{99, max64, max64}, max64},
		{"log from nowhere", _SYS_WRITE, []uint64{2, 0, 5}, errno(_EFAULT)},
		{"log of nothing", _SYS_WRITE, []uint64{2, 0, 0}, 0},
		{"mmap of nothing", _SYS_MMAP, []uint64{0, 0, 3}, errno(_EINVAL)},
		{"mmap of everything", _SYS_MMAP, []uint64{0, max64, 3}, errno(_EINVAL)},
		{"mmap of too much", _SYS_MMAP, []uint64{0, space.SystemVA + 1, 3}, errno(_EINVAL)},
		{"mmap inside a page", _SYS_MMAP, []uint64{0x1001, 4096, 3}, errno(_EINVAL)},
		{"mmap over the system's pages", _SYS_MMAP, []uint64{space.SystemVA, 4096, 3},
			errno(_ENOMEM)},
		{"mmap into the system's pages", _SYS_MMAP, []uint64{space.SystemVA - 4096, 8192, 3},
			errno(_ENOMEM)},
		{"mmap in the upper half", _SYS_MMAP, []uint64{1 << 63, 4096, 3}, errno(_ENOMEM)},
		{"reservation over the system's pages", _SYS_MMAP, []uint64{space.TrapVA, 4096, 0},
			errno(_ENOMEM)},
		{"mmap here", _SYS_MMAP, []uint64{0x10000000, 1, 3}, 0x10000000},
		{"mmap anywhere", _SYS_MMAP, []uint64{0, 5000, 3}, space.MmapVA},
		{"large reservation", _SYS_MMAP, []uint64{0xc000000000, 1 << 40, 0}, 0xc000000000},
		{"prctl", _SYS_PRCTL, nil, errno(_EINVAL)},
		{"openat", _SYS_OPENAT, []uint64{0, dataVA}, errno(_ENOENT)},
		{"getpid", _SYS_GETPID, nil, 1},
		{"gettid", _SYS_GETTID, nil, 1},
		{"set fs", _SYS_ARCH_PRCTL, []uint64{_ARCH_SET_FS, dataVA}, 0},
		{"set fs to a system page", _SYS_ARCH_PRCTL, []uint64{_ARCH_SET_FS, space.SystemVA},
			errno(_EINVAL)},
		{"set fs to the upper half", _SYS_ARCH_PRCTL, []uint64{_ARCH_SET_FS, max64},
			errno(_EINVAL)},
		{"get fs", _SYS_ARCH_PRCTL, []uint64{0x1003, dataVA}, errno(_EINVAL)},
		{"affinity", _SYS_SCHED_GETAFFINITY, []uint64{0, 8192, dataVA}, 8},
		{"affinity to nowhere", _SYS_SCHED_GETAFFINITY, []uint64{0, 8192, 0}, errno(_EFAULT)},
		{"affinity over the end of a page", _SYS_SCHED_GETAFFINITY,
			[]uint64{0, 8192, dataVA + space.PageLen - 4}, errno(_EFAULT)},
		{"affinity to the end of the address space", _SYS_SCHED_GETAFFINITY,
			[]uint64{0, 8192, max64 - 7}, errno(_EFAULT)},
		{"thread", _SYS_CLONE, []uint64{0, dataVA}, 2},
		{"thread with a system page as its own", _SYS_CLONE,
			[]uint64{_CLONE_SETTLS, dataVA, 0, 0, space.SystemVA}, errno(_EPERM)},
		{"wake nobody", _SYS_FUTEX, []uint64{dataVA, _FUTEX_WAKE | 128, 1}, 0},
		{"wait for what is past", _SYS_FUTEX, []uint64{dataVA, _FUTEX_WAIT | 128, 1},
			errno(_EAGAIN)},
		{"wait at nowhere", _SYS_FUTEX, []uint64{0, _FUTEX_WAIT, 0}, errno(_EFAULT)},
		{"wait at the end of the address space", _SYS_FUTEX, []uint64{max64, _FUTEX_WAIT, 0},
			errno(_EFAULT)},
		{"wait in the last page of the address space", _SYS_FUTEX,
			[]uint64{max64 - 7, _FUTEX_WAIT, 0}, errno(_EFAULT)},
		{"log from the last page of the address space", _SYS_WRITE, []uint64{2, max64 - 7, 7},
			errno(_EFAULT)},
		{"wait a moment", _SYS_FUTEX, []uint64{dataVA, _FUTEX_WAIT, 0, dataVA}, errno(_ETIMEDOUT)},
		{"requeue", _SYS_FUTEX, []uint64{dataVA, 3}, errno(_EINVAL)},
		{"yield", _SYS_SCHED_YIELD, nil, 0},
		{"sleep", _SYS_NANOSLEEP, []uint64{max64, max64}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := testProcess(t).call(test.nr, test.args...)
			if err != nil || got != test.want {
				t.Errorf("%d (%#x), %v; want %d", int64(got), got, err, int64(test.want))
			}
		})
	}
}

func TestSystemCallsThatEndARun(t *testing.T) {
	for _, test := range []struct {
		nr   uint64
		args []uint64
		kind session.Kind
		what string
	}{
		{_SYS_EXIT, []uint64{256 + 3}, session.KindExit, "the program ended with status 3"},
		{_SYS_EXIT_GROUP, []uint64{2}, session.KindExit, "the program ended with status 2"},
		{_SYS_TGKILL, []uint64{1, 1, 6}, session.KindExit, "the program raised signal 6"},
		{_SYS_FUTEX, []uint64{dataVA, _FUTEX_WAIT, 0}, session.KindDeadlock,
			"every thread of the program waits"},
		{0, nil, session.KindSyscall, "system call 0"},
		{2, nil, session.KindSyscall, "system call 2"},
		{41, nil, session.KindSyscall, "system call 41"},
		{max64, nil, session.KindSyscall, "system call 18446744073709551615"},
	} {
		_, err := testProcess(t).call(test.nr, test.args...)
		if err == nil || err.Kind != test.kind || err.What != test.what {
			t.Errorf("call %d: %v", test.nr, err)
		}
	}
}

// TestReturn: a program goes on where SYSCALL left it, with none of the flags that it must not
// have.
func TestReturn(t *testing.T) {
	r := kvm.Regs{RAX: _SYS_GETPID, RCX: 0x400010, R11: max64, RBX: 5, RSP: 6}
	if err := testProcess(t).syscall(&r); err != nil {
		t.Fatal(err)
	}
	const want = 1<<0 | 1<<1 | 1<<2 | 1<<4 | 1<<6 | 1<<7 | 1<<10 | 1<<11
	if r.RIP != 0x400010 || r.RFLAGS != want || r.RBX != 5 || r.RSP != 6 {
		t.Errorf("%+v", r)
	}
}

func TestLogIsCapped(t *testing.T) {
	p := testProcess(t)
	if err := p.pages.Write(dataVA, bytes.Repeat([]byte("x"), space.PageLen)); err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{10, space.PageLen, space.PageLen, max64, 0} {
		if got, err := p.call(_SYS_WRITE, 2, dataVA, n); err != nil ||
			got != n && int64(got) != -_EFAULT {
			t.Fatal(got, err)
		}
	}
	if len(p.log) != session.MaxLog {
		t.Errorf("%d bytes are kept", len(p.log))
	}
	if c := p.clone(p.pages); c.log != nil {
		t.Error("the next run begins with this one's log")
	}
}

// TestMmapForEver: no number of calls gets addresses that are not the program's, or more memory
// than there is.
func TestMmapForEver(t *testing.T) {
	p := testProcess(t)
	for _, n := range []uint64{space.SystemVA, 1 << 46, 1 << 30, space.PageLen} {
		for range 5000 {
			at, err := p.call(_SYS_MMAP, 0, n, 0)
			if err != nil {
				t.Fatal(err)
			}
			if at != errno(_ENOMEM) && at > space.SystemVA-n {
				t.Fatalf("%d bytes at %#x", n, at)
			}
		}
	}
	for i := range uint64(10) {
		_, _ = p.call(_SYS_MMAP, 0x10000000+i<<30, space.EagerLen, 3)
	}
	if p.pages.Next > space.EndFrame {
		t.Errorf("frames up to %#x", p.pages.Next)
	}
	if got, _ := p.call(_SYS_MMAP, 0x700000000000, 4096, 3); got != errno(_ENOMEM) {
		t.Errorf("memory that is used up gives %#x", got)
	}
}

// TestLazyMappings: a long mapping gets memory where it is touched, and nowhere else; one that
// memory is not left for ends the run as such.
func TestLazyMappings(t *testing.T) {
	p := testProcess(t)
	const at, n = 0x10005000, space.EagerLen + space.PageLen
	next := p.pages.Next
	if got, err := p.call(_SYS_MMAP, at, n, 3); got != at || err != nil || p.pages.Next != next {
		t.Fatal(got, err, p.pages.Next-next)
	}
	for va, want := range map[uint64]bool{0: false, at - 1: false, at: true, at + n - 1: true, at +
		n/2: true, at + n: false, max64: false} {
		if ok, err := p.fault(va); ok != want || err != nil {
			t.Errorf("fault at %#x: %v, %v", va, ok, err)
		}
		if want && p.pages.Write(va&^7, make([]byte, 8)) != nil {
			t.Errorf("no memory at %#x", va)
		}
	}
	for _, va := range []uint64{at - 8, at + 2*space.FaultLen, at + n} {
		if p.pages.Write(va, make([]byte, 8)) == nil {
			t.Errorf("memory at %#x", va)
		}
	}
	// A system call touches as the program itself would, also over the border of two pieces.
	got, err := p.call(_SYS_SCHED_GETAFFINITY, 0, 8, (at+4*space.FaultLen)&^(space.FaultLen-1)-4)
	if got != 8 || err != nil {
		t.Error(int64(got), err)
	}
	got, err = p.call(_SYS_SCHED_GETAFFINITY, 0, 8, at+n-4)
	if got != errno(_EFAULT) || err != nil {
		t.Error(int64(got), err)
	}
	for i := range uint64(100) {
		got, _ := p.call(_SYS_MMAP, 1<<40+i<<30, n, 3)
		if full := len(p.lazy) == maxLazy; got == errno(_ENOMEM) && !full || len(p.lazy) > maxLazy {
			t.Fatalf("%#x with %d mappings", got, len(p.lazy))
		}
	}
	p.pages.Next = space.EndFrame
	if ok, err := p.fault(at + 8*space.FaultLen); ok || err == nil ||
		err.Kind != session.KindMemory {
		t.Error(ok, err)
	}
	// What the program says when it is refused memory is not what it died of.
	if got, err := p.call(_SYS_MMAP, 0, space.PageLen, 3); got != errno(_ENOMEM) || err != nil {
		t.Fatal(got, err)
	}
	if _, err := p.call(_SYS_EXIT_GROUP, 2); err == nil || err.Kind != session.KindMemory {
		t.Error(err)
	}
}

// FuzzSyscall makes any calls in a row: none panics, and none gets at what is not the program's.
func FuzzSyscall(f *testing.F) {
	f.Add([]byte{byte(_SYS_MMAP), 0, 1, 3, byte(_SYS_FUTEX), 0x60, 0, 0})
	f.Add([]byte{byte(_SYS_CLONE), 1, 0x60, 0, byte(_SYS_SCHED_YIELD), 0, 0, 0})
	values := []uint64{0, 1, 2, 8, 0x80, space.PageLen, dataVA, dataVA + space.PageLen - 4,
		space.MmapVA,
		space.SystemVA - space.PageLen, space.TrapVA, space.GDTVA,
		space.StackTopVA, 1 << 40, 1 << 63, max64 - 7, max64, _ARCH_SET_FS, _CLONE_SETTLS, 64 << 20}
	f.Fuzz(func(t *testing.T, in []byte) {
		p := testProcess(t)
		trap, gdts := snapPage(t, p.pages, space.TrapVA), snapPage(t, p.pages, space.GDTVA)
		pick := func(b byte) uint64 { return values[int(b)%len(values)] }
		for ; len(in) >= 4; in = in[4:] {
			if _, err := p.call(uint64(in[0]), pick(in[1]), pick(in[2]), pick(in[3]), pick(in[1]+1),
				pick(in[2]+1)); err != nil {
				break
			}
			if p.threads.Current.FS >= space.SystemVA || len(p.log) > session.MaxLog {
				t.Fatalf("fs %#x, %d bytes of log", p.threads.Current.FS, len(p.log))
			}
		}
		if !bytes.Equal(trap, snapPage(t, p.pages, space.TrapVA)) ||
			!bytes.Equal(gdts, snapPage(t, p.pages, space.GDTVA)) || p.pages.Next > space.EndFrame {
			t.Fatal("a page of the system has changed")
		}
	})
}

// snapPage copies a page of the system, past all checks.
func snapPage(t *testing.T, p *space.Paging, va uint64) []byte {
	gpa, ok := p.Physical(va, 0)
	if !ok {
		t.Fatalf("%#x is not mapped", va)
	}
	return bytes.Clone(p.Memory.Bytes[gpa:][:space.PageLen])
}

package vmm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/needs"
	"instarfs/vmm/kvm"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
)

var testBudget = session.Budget{Time: time.Minute, Exits: 2000, Read: 1 << 20, Extents: 1000}

func tinyPool(t *testing.T, a *asm) *Pool { return budgetPool(t, a, testBudget) }

func budgetPool(t *testing.T, a *asm, b session.Budget) *Pool {
	t.Helper()
	needs.KVM(t)
	p, err := NewPool(Options{Program: bytes.NewReader(a.elf()),
		Host: session.NewHost(session.Options{Budget: b})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func testJob() *session.Job {
	return &session.Job{Window: img.Whole, Image: ram(make([]byte, 1<<20)), Size: 1 << 20}
}

// whole is the map of a disk of n bytes without data.
func whole(n uint64) []extent.Extent { return []extent.Extent{{Length: n}} }

// good is a guest that maps a disk of 4096 bytes as it should, after what before does in each run.
func good(before func(a *asm)) *asm {
	a := new(asm).ready()
	before(a)
	return a.records(whole(4096)...).result(abi.Result{Format: 1, Extents: 1, VirtualSize: 4096})
}

func TestGoodGuest(t *testing.T) {
	p := tinyPool(t, good(func(*asm) {}))
	for range 3 {
		l, err := p.Run(t.Context(), testJob())
		if err != nil {
			t.Fatal(err)
		}
		if l.Map.Len() != 1 || l.VirtualSize != 4096 || l.Map.At(0).Length != 4096 {
			t.Fatalf("%+v", l)
		}
	}
}

const (
	shared = abi.SharedVA
	dev    = abi.DeviceVA
	dma    = abi.SharedGPA + abi.DMAOffset
)

// queueUp brings the device up with a queue of 4 descriptors at the shared window's QueueOffset,
// and puts raw bytes of the descriptor table and one available entry there.
func queueUp(a *asm, table []byte, avail []byte) *asm {
	const q = abi.SharedGPA + abi.QueueOffset
	regs := [][2]uint64{
		{abi.DeviceStatus, 0}, {abi.DeviceStatus, 3},
		{abi.DriverFeaturesSel, 1}, {abi.DriverFeatures, 1}, {abi.DeviceStatus, 11},
		{abi.QueueNum, 4}, {abi.QueueDescLow, q}, {abi.QueueDriverLow, q + 0x1000},
		{abi.QueueDeviceLow, q + 0x2000},
		{abi.QueueReady, 1}, {abi.DeviceStatus, 15},
	}
	for _, r := range regs {
		a.store32(dev+r[0], uint32(r[1]))
	}
	return a.copy(shared+abi.QueueOffset, table).copy(shared+abi.QueueOffset+0x1000,
		avail).store32(dev+abi.QueueNotify, 0)
}

func desc(addr uint64, n uint32, flags, next uint16) []byte {
	b := le.AppendUint32(le.AppendUint64(nil, addr), n)
	return le.AppendUint16(le.AppendUint16(b, flags), next)
}

func table(ds ...[]byte) []byte { return bytes.Join(ds, nil) }

// available is the available ring with an index and its first entry.
func available(idx, head uint16) []byte {
	b := le.AppendUint16(le.AppendUint16(nil, 0), idx)
	return le.AppendUint16(b, head)
}

// TestHostileGuests: each guest does one thing it must not. Its run ends with an error of that kind
// which says what happened, and the next run is served by a fresh machine.
func TestHostileGuests(t *testing.T) {
	data := extent.State{Flags: extent.Present | extent.Data | extent.Offset}
	read := func(ds ...[]byte) func(a *asm) {
		return func(a *asm) { queueUp(a, table(ds...), available(1, 0)) }
	}
	header, next, write := uint64(dma), uint16(abi.DescFlagNext), uint16(abi.DescFlagWrite)
	record := func(es ...extent.Extent) func(a *asm) {
		return func(a *asm) { a.records(es...).bell(abi.BellRing) }
	}
	result := func(r abi.Result, es ...extent.Extent) func(a *asm) {
		return func(a *asm) { a.records(es...).result(r) }
	}
	tests := []struct {
		name string
		kind session.Kind
		what string
		do   func(a *asm)
	}{
		{"invalid opcode", session.KindFault, "invalid opcode (vector 6) (at 0x4000",
			func(a *asm) { a.ud2() }},
		{"divide by zero", session.KindFault, "divide error",
			func(a *asm) { a.imm(rcx, 0).imm(rdx, 0).raw(0x48, 0xf7, 0xf1) }},
		{"read of nothing", session.KindFault, "page fault at address 0x1234",
			func(a *asm) { a.load32(0x1234) }},
		{"write to its code", session.KindFault, "page fault at address 0x400000",
			func(a *asm) { a.store32(codeVA, 0) }},
		{"jump into its data", session.KindFault, "page fault at address 0x600000",
			func(a *asm) { a.imm(rax, dataVA).raw(0xff, 0xe0) }},
		{"read of the descriptor tables", session.KindFault, "page fault",
			func(a *asm) { a.load32(space.GDTVA) }},
		{"write to the trap page", session.KindFault, "page fault",
			func(a *asm) { a.store32(space.TrapVA, 0) }},
		{"non-canonical address", session.KindFault, "fault", func(a *asm) { a.load32(1 << 60) }},
		{"privileged instruction", session.KindFault, "general protection fault",
			func(a *asm) { a.raw(0xf4) }},
		{"port", session.KindFault, "general protection fault", func(a *asm) { a.raw(0xe6, 0x80) }},
		{"high port", session.KindFault, "general protection fault",
			func(a *asm) { a.imm(rdx, 0xcf8).raw(0xef) }},
		{"breakpoint", session.KindFault, "", func(a *asm) { a.raw(0xcc) }},
		{"system call execve", session.KindSyscall, "system call 59",
			func(a *asm) { a.syscall(59) }},
		{"system call far away", session.KindSyscall, "system call 18446744073709551615",
			func(a *asm) { a.syscall(math.MaxUint64) }},
		{"exit", session.KindExit, "status 7", func(a *asm) { a.syscall(_SYS_EXIT_GROUP, 7) }},
		{"signal", session.KindExit, "signal 6", func(a *asm) { a.syscall(_SYS_TGKILL, 1, 1, 6) }},
		{"panic with a log", session.KindExit, `it said "oh no"`, func(a *asm) {
			a.copy(dataVA+0x100, []byte("oh no\nsecond line"))
			a.syscall(_SYS_WRITE, 2, dataVA+0x100, 17).syscall(_SYS_EXIT_GROUP, 2)
		}},
		{"waits for ever", session.KindDeadlock, "every thread",
			func(a *asm) { a.syscall(_SYS_FUTEX, dataVA, _FUTEX_WAIT, 0) }},
		{"endless loop", session.KindDeadline, "no result after",
			func(a *asm) { a.forever(func() {}) }},
		{"endless system calls", session.KindExits, "",
			func(a *asm) { a.forever(func() { a.syscall(_SYS_GETPID) }) }},
		{"endless doorbells", session.KindExits, "",
			func(a *asm) { a.forever(func() { a.bell(abi.BellRing) }) }},
		{"endless log", session.KindExits, "",
			func(a *asm) { a.forever(func() { a.syscall(_SYS_WRITE, 2, dataVA, 1<<40) }) }},
		{"endless mmap", session.KindExits, "",
			func(a *asm) { a.forever(func() { a.syscall(_SYS_MMAP, 0, 1<<20, 3) }) }},
		{"endless threads", session.KindExits, "",
			func(a *asm) { a.forever(func() { a.syscall(_SYS_CLONE, 0, dataVA) }) }},
		{"more memory than there is", session.KindMemory, "more than the 56 MiB", func(a *asm) {
			const at = 0x10000000
			a.syscall(_SYS_MMAP, at, 64<<20, 3)
			a.imm(rdi, at).imm(rcx, 64<<20/8).imm(rax, 1).raw(0xf3, 0x48, 0xab) // rep stosq
		}},
		{"mmap fails and it gives up", session.KindMemory, "more than the 56 MiB", func(a *asm) {
			for range 5 {
				a.syscall(_SYS_MMAP, 0, 16<<20, 3)
			}
			a.syscall(_SYS_EXIT_GROUP, 2)
		}},
		{"return to the system's addresses", session.KindFault, "return from a system call",
			func(a *asm) {
				a.imm(rcx, space.TrapVA).imm(rax, _SYS_GETPID).store32Keep(abi.DoorbellVA +
					abi.BellSyscall)
			}},

		{"unknown doorbell", session.KindProtocol, "doorbell 0x20", func(a *asm) { a.bell(0x20) }},
		{"second ready", session.KindProtocol, "doorbell 0x8", func(a *asm) { a.ready() }},
		{"wide doorbell", session.KindProtocol, "write of 8 bytes to doorbell 0x18",
			func(a *asm) { a.bell16(abi.BellDone) }},
		{"narrow doorbell", session.KindProtocol, "write of 1 bytes to doorbell 0x10",
			func(a *asm) {
				a.imm(rax, abi.DoorbellVA+abi.BellRing).raw(0x88, 0x08) // mov [rax], cl
			}},
		{"doorbell read", session.KindProtocol, "read of doorbell",
			func(a *asm) { a.load32(abi.DoorbellVA) }},
		{"ring index too high", session.KindProtocol, "index", func(a *asm) {
			a.store64(shared+abi.RingControl, abi.RingRecords+1).bell(abi.BellRing)
		}},
		{"ring index wraps", session.KindProtocol, "index", func(a *asm) {
			a.store64(shared+abi.RingControl, math.MaxUint64).bell(abi.BellRing)
		}},
		{"ring index goes back", session.KindProtocol, "index", func(a *asm) {
			record(whole(4096)...)(a)
			a.store64(shared+abi.RingControl, 0).bell(abi.BellRing)
		}},
		{"gap", session.KindProtocol, "does not start where",
			record(extent.Extent{Start: 1, Length: 1})},
		{"overlap", session.KindProtocol, "does not start where",
			record(extent.Extent{Length: 2}, extent.Extent{Start: 1, Length: 2})},
		{"empty extent", session.KindProtocol, "length 0", record(extent.Extent{})},
		{"beyond 2^63", session.KindProtocol, "beyond the window",
			record(extent.Extent{Length: 1 << 63})},
		{"host range wraps", session.KindProtocol, "wraps",
			record(extent.Extent{Length: 4096, Offset: math.MaxInt64, State: data})},
		{"unknown flag", session.KindProtocol, "unknown flags",
			record(extent.Extent{Length: 1, State: extent.State{Flags: extent.All + 1}})},
		{"contradiction", session.KindProtocol, "contradict",
			record(extent.Extent{Length: 1, State: extent.State{Flags: extent.Data}})},
		{"offset without its flag", session.KindProtocol, "contradict",
			record(extent.Extent{Length: 1, Offset: 1})},
		{"composed state", session.KindProtocol, "composed",
			record(extent.Extent{Length: 1, State: extent.State{Flags: extent.Zero}})},
		{"fault out of range", session.KindProtocol, "unknown flags",
			record(extent.Extent{Length: 1, Offset: abi.MaxFaults,
				State: extent.State{Flags: extent.Bad}})},
		{"too many extents", session.KindExtents, "more than 1000", func(a *asm) {
			es := make([]extent.Extent, 2000)
			for i := range es {
				es[i] = extent.Extent{Start: uint64(i), Length: 1}
				if i%2 == 0 {
					es[i].Flags = extent.Present | extent.Zero
				}
			}
			record(es...)(a)
		}},

		{"no result", session.KindProtocol, "magic", func(a *asm) { a.bell(abi.BellDone) }},
		{"wrong number of extents", session.KindProtocol, "result of 2 extents",
			result(abi.Result{Extents: 2, VirtualSize: 4096}, whole(4096)...)},
		{"extents beyond the disk", session.KindProtocol,
			"extents up to 4096 of a window that ends at 512",
			result(abi.Result{Extents: 1, VirtualSize: 512}, whole(4096)...)},
		{"extents short of the disk", session.KindProtocol, "end before",
			result(abi.Result{Extents: 1, VirtualSize: 8192}, whole(4096)...)},
		{"disk of 2^64 bytes", session.KindProtocol, "result of",
			result(abi.Result{Extents: 1, VirtualSize: math.MaxUint64}, whole(4096)...)},
		{"file that is not there", session.KindProtocol, "reference 3 of 0",
			result(abi.Result{Extents: 1, VirtualSize: 4096},
				extent.Extent{Length: 4096, State: extent.State{Flags: data.Flags, File: 3}})},
		{"fault that is not there", session.KindProtocol, "fault 1 of 0",
			result(abi.Result{Extents: 1, VirtualSize: 4096},
				extent.Extent{Length: 4096, State: extent.State{Flags: extent.Bad}})},
		{"error without its fault", session.KindProtocol, "without its fault",
			result(abi.Result{Error: fault.Corrupt})},
		{"unknown error", session.KindProtocol, "unknown error code",
			result(abi.Result{Error: 99})},
		{"too many faults claimed", session.KindProtocol, "counts", func(a *asm) {
			a.store32(shared+abi.ResultOffset, abi.ResultMagic).store32(shared+abi.ResultOffset+28,
				1<<31).bell(abi.BellDone)
		}},

		{"device register of 8 bytes", session.KindProtocol, "8 bytes",
			func(a *asm) { a.store64(dev+abi.QueueSel, 0) }},
		{"odd register", session.KindProtocol, "register 0x31",
			func(a *asm) { a.store32(dev+0x31, 0) }},
		{"notify too early", session.KindProtocol, "before the device",
			func(a *asm) { a.store32(dev+abi.QueueNotify, 0) }},
		{"queue of 3", session.KindProtocol, "power of two",
			func(a *asm) { a.store32(dev+abi.QueueNum, 3) }},
		{"driver gives up", session.KindProtocol, "gave up",
			func(a *asm) { a.store32(dev+abi.DeviceStatus, abi.StatusFailed) }},
		{"available index lies", session.KindProtocol, "available index",
			func(a *asm) { queueUp(a, nil, available(5, 0)) }},
		{"descriptor out of the table", session.KindProtocol, "descriptor 9",
			func(a *asm) { queueUp(a, nil, available(1, 9)) }},
		{"indirect descriptor", session.KindProtocol, "flags 0x4", read(desc(header, 16, 4, 0))},
		{"short header", session.KindProtocol, "header of 8 bytes", read(desc(header, 8, next, 1))},
		{"writable header", session.KindProtocol, "flags 0x3",
			read(desc(header, 16, next|write, 1))},
		{"header outside of the window", session.KindProtocol, "outside of the shared window",
			read(desc(0x1000, 16, next, 1))},
		{"data over page tables", session.KindProtocol, "outside of the shared window",
			read(desc(header, 16, next, 1), desc(0x1000, 512, next|write, 2),
				desc(dma+32, 1, write, 0))},
		{"data beyond memory", session.KindProtocol, "outside of the shared window",
			read(desc(header, 16, next, 1), desc(abi.RAMLen-256, 512, next|write, 2),
				desc(dma+32, 1, write, 0))},
		{"data address wraps", session.KindProtocol, "outside of the shared window",
			read(desc(header, 16, next, 1), desc(math.MaxUint64, 512, next|write, 2),
				desc(dma+32, 1, write, 0))},
		{"chain in a circle", session.KindProtocol, "without an end",
			read(desc(header, 16, next, 1), desc(dma+4096, 0, next|write, 1))},
		{"no status", session.KindProtocol, "cannot write",
			read(desc(header, 16, next, 1), desc(dma+4096, 512, next, 2), desc(dma, 1, 0, 0))},
		{"long status", session.KindProtocol, "status of 2 bytes",
			read(desc(header, 16, next, 1), desc(dma+4096, 2, write, 0))},
		{"reads too much", session.KindReads, "1048576 bytes", func(a *asm) {
			queueUp(a, table(desc(header, 16, next, 1), desc(dma+4096, 1<<20, next|write, 2),
				desc(dma+32, 1, write, 0)), available(1, 0))
			a.copy(shared+abi.QueueOffset+0x1000, available(2, 0)).store32(dev+abi.QueueNotify, 0)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := testBudget
			if test.kind == session.KindDeadline {
				b.Time = 200 * time.Millisecond
			}
			p := budgetPool(t, good(test.do), b)
			for range 2 {
				_, err := p.Run(t.Context(), testJob())
				var g *session.GuestError
				if !errors.As(err, &g) {
					t.Fatalf("error is %v", err)
				}
				if g.Kind != test.kind || !strings.Contains(err.Error(), test.what) ||
					strings.Contains(err.Error(), "\n") {
					t.Errorf("kind %v, want %v; %q, want %q in it", g.Kind, test.kind, err,
						test.what)
				}
			}
		})
	}
}

// store32Keep writes eax, keeping the other registers.
func (a *asm) store32Keep(va uint64) *asm { return a.raw(0xa3).raw(le.AppendUint64(nil, va)...) }

// TestSystemCallsCannotWriteAnywhere: what the host writes for a system call goes where the program
// itself could write.
func TestSystemCallsCannotWriteAnywhere(t *testing.T) {
	for _, va := range []uint64{codeVA, space.TrapVA, space.GDTVA, 0, 1 << 47, math.MaxUint64,
		dataVA - 4} {
		// rax is -EFAULT afterwards, or the guest stops at ud2.
		p := tinyPool(t, good(func(a *asm) {
			a.syscall(_SYS_SCHED_GETAFFINITY, 0, 8, va)
			a.raw(0x48, 0x83, 0xf8, 0xf2) // cmp rax, -14
			a.raw(0x74, 0x02).ud2()       // je over ud2
		}))
		if _, err := p.Run(t.Context(), testJob()); err != nil {
			t.Errorf("%#x: %v", va, err)
		}
	}
}

// TestTripleFault breaks the interrupt table, which no program at CPL3 can.
func TestTripleFault(t *testing.T) {
	p := tinyPool(t, good(func(a *asm) { a.ud2() }))
	m, err := p.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.destroy()
	err = m.do(func() error {
		table, ok := m.proc.pages.Physical(space.IDTVA, 0)
		if !ok {
			return errors.New("there is no interrupt table")
		}
		clear(m.mem.Bytes[table:][:space.PageLen])
		_, err := p.runOn(t.Context(), m, testJob())
		return err
	})
	var g *session.GuestError
	if !errors.As(err, &g) || g.Kind != session.KindTripleFault && g.Kind != session.KindCarrier {
		t.Fatal(err)
	}
}

// TestRunFails: what KVM_RUN itself answers is part of the error. Without the page of the code it
// is EFAULT.
func TestRunFails(t *testing.T) {
	a := good(func(*asm) {})
	p := tinyPool(t, a)
	m, err := p.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.destroy()
	page := bytes.Index(m.mem.Bytes, a.code[:32]) &^ (space.PageLen - 1)
	if err := unix.Mprotect(m.mem.Bytes[page:page+space.PageLen], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	err = m.do(func() error {
		_, err := p.runOn(t.Context(), m, testJob())
		return err
	})
	var g *session.GuestError
	if !errors.As(err, &g) || g.Kind != session.KindCarrier || !errors.Is(err, unix.EFAULT) ||
		!strings.Contains(err.Error(), "KVM_RUN: bad address") {
		t.Error(err)
	}
}

// TestNothingSurvivesARun: each run looks for what the one before left in memory, the shared
// window, a general and a vector register, and leaves it there itself.
func TestNothingSurvivesARun(t *testing.T) {
	const mark = 0x5ec2e7
	p := tinyPool(t, good(func(a *asm) {
		a.data = make([]byte, 64)           // dataVA+0x10 lies in it
		a.raw(0x66, 0x48, 0x0f, 0x7e, 0xc0) // movq rax, xmm0
		a.raw(0x4c, 0x09, 0xd8)             // or rax, r11
		for _, va := range []uint64{dataVA + 0x10, shared + abi.DMAOffset, shared +
			abi.SharedLen - 8, space.StackTopVA - 64} {
			a.imm(rcx, va).raw(0x48, 0x0b, 0x01) // or rax, [rcx]
		}
		a.raw(0x48, 0x3d).raw(le.AppendUint32(nil, mark)...) // cmp rax, mark
		a.raw(0x75, 0x02).ud2()                              // jne over ud2
		for _, va := range []uint64{dataVA + 0x10, shared + abi.DMAOffset, shared +
			abi.SharedLen - 8, space.StackTopVA - 64} {
			a.store64(va, mark)
		}
		a.imm(rax, mark).raw(0x66, 0x48, 0x0f, 0x6e, 0xc0) // movq xmm0, rax
		a.raw(0x49, 0x89, 0xc3)                            // mov r11, rax
	}))
	for i := range 5 {
		if _, err := p.Run(t.Context(), testJob()); err != nil {
			t.Fatal(i, err)
		}
	}
	m, err := p.take(t.Context())
	if another, _ := p.idle.Take(); err != nil || another != nil {
		t.Errorf("more machines, %v: the runs should have shared one", err)
	}
	m.destroy()
}

// TestResetOfHalfAnAccess: of a store of 16 bytes KVM reports eight, and eight when the guest is
// entered again. Such a machine must not serve another run, whose first exit that would be.
func TestResetOfHalfAnAccess(t *testing.T) {
	for _, test := range []struct {
		ring func(a *asm)
		ok   bool
	}{
		{func(a *asm) { a.bell(abi.BellDone) }, true},
		{func(a *asm) { a.bell16(abi.BellDone) }, false},
	} {
		p := tinyPool(t, good(test.ring))
		m, err := p.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := m.do(func() error {
			if err := m.cpu.Run(); err != nil || m.cpu.ExitReason() != kvm.ExitMMIO {
				return fmt.Errorf("exit reason %d, %v", m.cpu.ExitReason(), err)
			}
			if err := m.reset(p.snap); (err == nil) != test.ok {
				t.Errorf("reset: %v", err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		m.destroy()
	}
}

// TestCancel: a run ends when nobody wants it any more.
func TestCancel(t *testing.T) {
	needs.KVM(t)
	p, err := NewPool(
		Options{Program: bytes.NewReader(good(func(a *asm) { a.forever(func() {}) }).elf())})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := p.Run(ctx, testJob()); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// TestBadPrograms: what is not a guest program is an error of boot.
func TestBadPrograms(t *testing.T) {
	needs.KVM(t)
	good := good(func(*asm) {}).elf()
	for name, program := range map[string][]byte{
		"empty": nil, "text": []byte("#!/bin/sh"), "truncated": good[:100],
		"cut":         good[:len(good)-500],
		"never ready": new(asm).ud2().elf(), "exits": new(asm).syscall(_SYS_EXIT_GROUP, 0).elf(),
	} {
		p, err := NewPool(Options{Program: bytes.NewReader(program)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Run(t.Context(), testJob()); err == nil ||
			!strings.Contains(err.Error(), "boot of the map guest") {
			t.Errorf("%s: %v", name, err)
		}
		p.Close()
	}
}

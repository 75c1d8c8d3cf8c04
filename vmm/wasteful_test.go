package vmm

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
	"instarfs/vmm/threads"
)

// zeroes is an endless image.
type zeroes struct{}

func (zeroes) Peek(p []byte, _ int64) bool {
	clear(p)
	return true
}

func (z zeroes) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	z.Peek(p, off)
	return len(p), nil
}

// queue brings the device up with a queue of n descriptors at guest-physical addresses.
func (a *asm) queue(n uint32, table, avail, used uint64) *asm {
	for _, r := range [][2]uint64{
		{abi.DeviceStatus, 0}, {abi.DeviceStatus, 3},
		{abi.DriverFeaturesSel, 1}, {abi.DriverFeatures, 1}, {abi.DeviceStatus, 11},
		{abi.QueueNum, uint64(n)}, {abi.QueueDescLow, table}, {abi.QueueDriverLow, avail},
		{abi.QueueDeviceLow, used},
		{abi.QueueReady, 1}, {abi.DeviceStatus, 15},
	} {
		a.store32(dev+r[0], uint32(r[1]))
	}
	return a
}

// notify makes n more entries of an available ring available, again and again. Their heads are 0.
func (a *asm) notify(avail uint64, n uint16) {
	a.forever(func() {
		// add word [rax], n
		a.imm(rax, avail-abi.SharedGPA+shared+2).raw(0x66, 0x81, 0x00, byte(n), byte(n>>8))
		a.store32(dev+abi.QueueNotify, 0)
	})
}

// chained is a descriptor table in which descriptor 0 begins a request of n descriptors: a header,
// buffers of length bytes all at one address, and a status.
func chained(n int, length uint32) []byte {
	b := desc(dma+0x100, 16, abi.DescFlagNext, 1)
	for i := 1; i < n-1; i++ {
		b = append(b, desc(dma+0x1000, length, abi.DescFlagNext|abi.DescFlagWrite, uint16(i+1))...)
	}
	return append(b, desc(dma+0x200, 1, abi.DescFlagWrite, 0)...)
}

// storm asks for requests of 1024 descriptors without an end; header is what they ask for.
func (a *asm) storm(length uint32, header []byte) {
	const table, avail = abi.SharedGPA + abi.QueueOffset, dma + 0x500000
	a.copy(shared+abi.QueueOffset, chained(1024, length)).copy(shared+abi.DMAOffset+0x100, header)
	a.queue(1024, table, avail, avail+0x10000).notify(avail, 1024)
}

// wasteful guests use up time, memory, exits or reads, and never come to an end by themselves.
var wasteful = map[string]func(a *asm){
	"loop":     func(a *asm) { a.forever(func() {}) },
	"pause":    func(a *asm) { a.forever(func() { a.raw(0xf3, 0x90) }) },
	"cpuid":    func(a *asm) { a.forever(func() { a.raw(0x0f, 0xa2) }) },
	"vmcall":   func(a *asm) { a.forever(func() { a.raw(0x0f, 0x01, 0xc1) }) },
	"rdtsc":    func(a *asm) { a.forever(func() { a.raw(0x0f, 0x31) }) },
	"int 0x80": func(a *asm) { a.forever(func() { a.raw(0xcd, 0x80) }) },
	"jump to lstar": func(a *asm) {
		a.forever(func() {
			a.imm(rcx, codeVA).imm(rax, space.TrapVA+
				space.LSTAROffset).raw(0xff, 0xe0)
		})
	},
	"device reads":  func(a *asm) { a.forever(func() { a.load32(dev) }) },
	"device writes": func(a *asm) { a.forever(func() { a.store32(dev+abi.QueueSel, 0) }) },
	"device resets": func(a *asm) {
		a.forever(func() { a.store32(dev+abi.DeviceStatus, 0).store32(dev+abi.DeviceStatus, 15) })
	},
	"rep over device": func(a *asm) {
		a.forever(func() {
			a.imm(rdi, dev+0x14).imm(rcx, 1).imm(rax,
				0).raw(0xf3, 0xab)
		})
	},
	"system calls": func(a *asm) { a.forever(func() { a.syscall(_SYS_GETPID) }) },
	"empty ring":   func(a *asm) { a.forever(func() { a.bell(abi.BellRing) }) },
	"threads": func(a *asm) {
		for range threads.Max {
			a.syscall(_SYS_CLONE, 0, dataVA+64)
		}
		a.forever(func() { a.syscall(_SYS_SCHED_YIELD) })
	},
	"one mapping again": func(a *asm) {
		a.forever(func() {
			a.syscall(_SYS_MMAP, 0x20000000,
				space.EagerLen, 3)
		})
	},
	"all addresses": func(a *asm) {
		a.forever(func() {
			a.syscall(_SYS_MMAP, 0, space.SystemVA,
				3)
		})
	},
	"all, reserved": func(a *asm) {
		a.forever(func() {
			a.syscall(_SYS_MMAP, 0, space.SystemVA,
				0)
		})
	},
	"a page each 2 MiB": func(a *asm) {
		for i := range uint64(64) {
			a.syscall(_SYS_MMAP, 0x20000000+i<<26, 2*space.EagerLen, 3)
		}
		a.imm(rax, 0x20000000) // mov dword [rax], 1; add rax, 2 MiB
		a.forever(func() {
			a.raw(0xc7, 0x00, 1, 0, 0, 0, 0x48,
				0x05).raw(le.AppendUint32(nil, 1<<21)...)
		})
	},
	"page tables": func(a *asm) { // a page each GiB takes three tables
		a.imm(rdi, 1<<32)
		a.forever(func() {
			// push rdi; mmap
			a.raw(0x57).imm(rsi, space.PageLen).imm(rdx, 3).imm(rax, _SYS_MMAP).raw(0x0f, 0x05)
			a.raw(0x5f).imm(rax, 1<<30).raw(0x48, 0x01, 0xc7) // pop rdi; add rdi, rax
		})
	},
	"a long log": func(a *asm) {
		a.syscall(_SYS_MMAP, 0x20000000, 2*space.EagerLen, 3)
		a.forever(func() { a.syscall(_SYS_WRITE, 2, 0x20000000, math.MaxUint64) })
	},
	"empty buffers": func(a *asm) { a.storm(0, make([]byte, 16)) },
	"large reads":   func(a *asm) { a.storm(4<<20, make([]byte, 16)) },
	"writes":        func(a *asm) { a.storm(4<<20, []byte{1}) },
	"past the end": func(a *asm) {
		a.storm(4<<20,
			append(make([]byte, 8), "\xff\xff\xff\xff\xff\xff\xff\xff"...))
	},
	"rings in a row": func(a *asm) { // a queue whose three parts are one
		const q = abi.SharedGPA + abi.QueueOffset
		a.copy(shared+abi.QueueOffset, chained(16, 512)).queue(16, q, q, q).notify(q, 1)
	},
	"over the queue": func(a *asm) { // data that is read over rings, config and all else
		const q = abi.SharedGPA + abi.QueueOffset
		ds := table(desc(dma+0x100, 16, 1, 1), desc(abi.SharedGPA, abi.SharedLen-512, 3, 2),
			desc(dma+0x200, 1, 2, 0))
		a.copy(shared+abi.QueueOffset, ds).queue(4, q, q+0x1000, q+0x2000).notify(q+0x1000, 1)
	},
	"records": func(a *asm) {
		a.records(extent.Extent{Length: 1})
		a.forever(func() {
			a.imm(rax, shared+abi.RingControl).raw(0x48, 0x83, 0x00, 1) // add qword [rax], 1
			a.bell(abi.BellRing)
		})
	},
}

// giveUp is how long tests wait for what must happen. It only bounds how long a failure takes.
const giveUp = time.Minute

// TestWastefulGuests: each is stopped by its budget and leaves nothing.
func TestWastefulGuests(t *testing.T) {
	budget := session.DefaultBudget
	budget.Time = 150 * time.Millisecond
	threads, machines := kernelThreads(t), openMachines(t)
	for name, do := range wasteful {
		t.Run(name, func(t *testing.T) {
			a := new(asm).ready()
			do(a)
			p := budgetPool(t, a, budget)
			defer p.Close()
			if err := p.Warm(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), giveUp)
			defer cancel()
			_, err := p.Run(ctx, &session.Job{Window: img.Whole, Image: zeroes{}, Size: 1 << 50})
			var g *session.GuestError
			if !errors.As(err, &g) {
				t.Errorf("not stopped by its budget: %v", err)
			}
		})
	}
	settled(t, threads, machines)
}

// TestChurn: machines whose guests fail at once are destroyed as fast as they are made.
func TestChurn(t *testing.T) {
	const runs, spare = 200, 20
	p := tinyPool(t, new(asm).ready().ud2())
	threads, machines := kernelThreads(t), openMachines(t)
	for i := range runs {
		if _, err := p.Run(t.Context(), testJob()); err == nil {
			t.Fatal("no error")
		}
		if n := openMachines(t); n > machines+spare {
			t.Fatalf("%d machines after %d runs, %d before", n, i+1, machines)
		}
	}
	p.Close()
	settled(t, threads, machines)
}

// settled waits until there are no more machines than before, and of threads few more: the Go
// runtime keeps those that it has.
func settled(t *testing.T, threads, machines int) {
	t.Helper()
	const kept = 20
	for end := time.Now().Add(giveUp); ; time.Sleep(10 * time.Millisecond) {
		nowThreads, nowMachines := kernelThreads(t), openMachines(t)
		if nowThreads <= threads+kept && nowMachines <= machines {
			return
		}
		if time.Now().After(end) {
			t.Errorf("%d threads and %d machines, %d and %d before", nowThreads, nowMachines,
				threads, machines)
			return
		}
	}
}

func kernelThreads(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// openMachines counts the descriptors of virtual machines.
func openMachines(t *testing.T) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if to, _ := os.Readlink("/proc/self/fd/" + f.Name()); strings.Contains(to, "kvm-vm") {
			n++
		}
	}
	return n
}

package vmm

import (
	"bytes"
	"testing"

	"instarfs/guest/abi"
	"instarfs/needs"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
)

// mark is what the guest of TestLeak leaves wherever it can, and looks for.
const mark = 0x5ec2e7c0ffee1234

// plant fills n bytes from va with the mark; find ends in ud2 when the mark is there.
func (a *asm) plant(va, n uint64) *asm {
	return a.imm(rdi, va).imm(rcx, n/8).imm(rax, mark).raw(0xfc, 0xf3, 0x48, 0xab) // cld; rep stosq
}

func (a *asm) find(va, n uint64) *asm {
	a.imm(rdi, va).imm(rcx, n/8).imm(rax, mark)
	a.raw(0xfc, 0x48, 0x85, 0xff)  // cld; test rdi, rdi: not equal
	a.raw(0xf2, 0x48, 0xaf)        // repne scasq
	return a.raw(0x75, 0x02).ud2() // jne over ud2
}

// flags sets bits of the flags register.
func (a *asm) flags(bits uint32) *asm {
	// pushfq; or [rsp], bits; popfq
	return a.raw(0x9c, 0x81, 0x0c, 0x24).raw(le.AppendUint32(nil, bits)...).raw(0x9d)
}

// findInRegisters ends in ud2 when a general register but rax and rsp, or the low half of a vector
// register, holds the mark.
func (a *asm) findInRegisters() *asm {
	a.imm(rax, mark)
	for _, modrm := range []byte{0xc3, 0xc1, 0xc2, 0xc6, 0xc7, 0xc5} {
		// rbx, rcx, rdx, rsi, rdi, rbp
		a.raw(0x48, 0x39, modrm, 0x75, 0x02).ud2() // cmp, jne over ud2
	}
	for r := byte(0); r < 8; r++ { // r8 to r15
		a.raw(0x49, 0x39, 0xc0|r, 0x75, 0x02).ud2()
	}
	for x := byte(0); x < 16; x++ { // movq rcx, xmm
		a.raw(0x66, 0x48|x>>3<<2, 0x0f, 0x7e, 0xc1|x&7<<3)
		a.raw(0x48, 0x39, 0xc1, 0x75, 0x02).ud2()
	}
	return a
}

// plantInRegisters leaves the mark, or something unusual, in every register that a program can
// write.
func (a *asm) plantInRegisters(avx bool) *asm {
	const scratch = dataVA + 2048
	a.imm(rax, mark)
	a.raw(0x48, 0x89, 0xc3, 0x48, 0x89, 0xc5) // mov rbx, rax; mov rbp, rax
	for r := byte(0); r < 8; r++ {
		a.raw(0x49, 0x89, 0xc0|r)
	}
	for x := byte(0); x < 16; x++ { // movq xmm, rax
		a.raw(0x66, 0x48|x>>3<<2, 0x0f, 0x6e, 0xc0|x&7<<3)
	}
	for x := byte(0); avx && x < 8; x++ { // vinsertf128 ymm, ymm, xmm, 1
		a.raw(0xc4, 0xe3, 0x05|^x&0xf<<3, 0x18, 0xc0|x<<3|x, 0x01)
	}
	a.imm(rax, scratch)
	for range 8 {
		// fld qword [rax]: the whole x87 stack, and where the last instruction was
		a.raw(0xdd, 0x00)
	}
	// ldmxcsr: flags
	a.imm(rax, scratch+64).raw(0xc7, 0x00).raw(le.AppendUint32(nil, 0x1fbf)...).raw(0x0f, 0xae,
		0x10)
	a.raw(0x66, 0xb8, space.UserSS, 0x00)                 // mov ax, userSS
	a.raw(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xe0, 0x8e, 0xe8) // ds, es, fs, gs
	a.raw(0x31, 0xc0, 0x8e, 0xe8)                         // gs = 0
	return a.flags(0x400 | 0x200000 | 0x40000 | 0xd5)     // DF, ID, AC, arithmetic
}

// marker is a guest that looks for the mark in all of its memory and registers, then leaves it
// there, and ends its run well.
func marker(t *testing.T) *asm {
	const heapVA, heapLen = 0x10000000, 32 << 20
	a := &asm{data: make([]byte, space.PageLen)}
	for off := uint64(0); off < heapLen; off += space.EagerLen {
		a.syscall(_SYS_MMAP, heapVA+off, space.EagerLen, 3)
	}
	a.ready().findInRegisters()
	regions := [][2]uint64{{heapVA, heapLen}, {space.StackTopVA - space.StackLen, space.StackLen},
		{shared, abi.SharedLen}, {dataVA, space.PageLen}}
	for _, r := range regions {
		a.find(r[0], r[1])
	}
	// Of the data segment the second half: what records and result are copied from lies after it.
	for _, r := range append(regions[:3:3], [2]uint64{dataVA + 2048, 2048}) {
		a.plant(r[0], r[1])
	}
	a.records(whole(4096)...)
	b := make([]byte, abi.ResultLen)
	result := abi.Result{Format: 1, Extents: 1, VirtualSize: 4096}
	if _, err := result.Encode(b); err != nil {
		t.Fatal(err)
	}
	a.copy(abi.SharedVA+abi.ResultOffset, b[:128])
	return a.plantInRegisters(hasAVX(t)).bell(abi.BellDone)
}

// TestNothingLeaks: after the reset a machine is byte for byte what it was before the run, in all
// of its memory and in every register that KVM shows, whatever the run wrote there.
func TestNothingLeaks(t *testing.T) {
	p := budgetPool(t, marker(t), session.DefaultBudget)
	m, err := p.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.destroy()
	indexes := msrIndexes(t)
	if len(indexes) < 20 {
		t.Errorf("only %d model specific registers are compared", len(indexes))
	}
	pattern := le.AppendUint64(nil, mark)
	var memory []byte
	var before registers
	on := func(f func()) { // the machine's thread
		if err := m.do(func() error { f(); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	on(func() { memory, before = bytes.Clone(m.mem.Bytes), readRegisters(m.cpu, indexes) })
	for i := range 3 {
		on(func() { _, err = p.runOn(t.Context(), m, testJob()) })
		if err != nil {
			t.Fatalf("run %d found the mark, or failed: %v", i, err)
		}
		on(func() {
			dirty := readRegisters(m.cpu, indexes)
			for _, set := range []string{"general", "vector"} {
				if bytes.Equal(dirty.sets[set], before.sets[set]) {
					t.Errorf("run %d left no trace in the %s registers: the test sees nothing", i,
						set)
				}
			}
			if n := bytes.Count(m.mem.Bytes, pattern) * 8; n < 36<<20 {
				t.Errorf("run %d left the mark in %d bytes only: the test sees nothing", i, n)
			}
			if err := m.reset(p.snap); err != nil {
				t.Errorf("reset %d: %v", i, err)
			}
			for at := 0; at < len(memory); at += space.PageLen {
				if !bytes.Equal(memory[at:at+space.PageLen], m.mem.Bytes[at:at+space.PageLen]) {
					t.Errorf("after reset %d the page at %#x differs", i, at)
					break
				}
			}
			before.same(t, readRegisters(m.cpu, indexes))
		})
	}
}

// TestEndsOfRuns: a run may end in the middle of something: a trap about to strike, interrupts held
// off, an exception pending, half an access. The next run and the host notice nothing, or the
// machine is thrown away.
func TestEndsOfRuns(t *testing.T) {
	needs.KVM(t)
	const trap = 0x100 // TF: an exception after the next instruction
	indexes := msrIndexes(t)
	done := func(a *asm) *asm { return a.imm(rax, abi.DoorbellVA+abi.BellDone).imm(rcx, 1) }
	store := []byte{0x89, 0x08} // mov [rax], ecx
	for name, end := range map[string]func(a *asm){
		"trap flag": func(a *asm) { done(a).flags(trap).raw(store...) },
		"stack segment": func(a *asm) {
			done(a).raw(0x66, 0xba, space.UserSS, 0, 0x8e,
				0xd2).raw(store...)
		},
		"both": func(a *asm) {
			done(a).raw(0x66, 0xba, space.UserSS, 0).flags(trap).raw(0x8e,
				0xd2).raw(store...)
		},
		"x87 exception": func(a *asm) { a.divideByZero().bell(abi.BellDone) },
		"64 stores": func(a *asm) {
			a.imm(rdi, abi.DoorbellVA+abi.BellDone).imm(rcx,
				64).imm(rax, 1).raw(0xf3, 0xab)
		},
		"exchange":       func(a *asm) { done(a).raw(0x87, 0x08) },
		"read and write": func(a *asm) { done(a).raw(0x01, 0x08) },
		"device to bell": func(a *asm) {
			a.imm(rsi, dev).imm(rdi, abi.DoorbellVA+
				abi.BellDone).imm(rcx, 4).raw(0xf3, 0xa5)
		},
		"cmpxchg8b":      func(a *asm) { done(a).raw(0x48, 0x89, 0xc6, 0x0f, 0xc7, 0x0e) },
		"push from bell": func(a *asm) { done(a).raw(0xff, 0x30) },
		"stack in bell": func(a *asm) {
			a.imm(rax, abi.DoorbellVA+abi.BellDone+8).raw(0x48,
				0x89, 0xc4, 0x50)
		},
		"memory and device": func(a *asm) { a.store64(abi.DeviceVA-4, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			a := new(asm).ready().records(whole(4096)...)
			b := make([]byte, abi.ResultLen)
			r := abi.Result{Format: 1, Extents: 1, VirtualSize: 4096}
			if _, err := r.Encode(b); err != nil {
				t.Fatal(err)
			}
			end(a.copy(abi.SharedVA+abi.ResultOffset, b[:128]))
			p := tinyPool(t, a)
			m, err := p.take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer m.destroy()
			err = m.do(func() error {
				before := readRegisters(m.cpu, indexes)
				for range 3 {
					if _, err := p.runOn(t.Context(), m, testJob()); err != nil {
						return nil // which has the machine thrown away
					}
					if m.reset(p.snap) != nil {
						return nil // so does this
					}
					before.same(t, readRegisters(m.cpu, indexes))
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			for range 2 { // the pool's own way, with fresh machines where they are needed
				if l, err := p.Run(t.Context(), testJob()); err == nil &&
					(l.VirtualSize != 4096 || l.Map.Len() != 1) {
					t.Errorf("a map of %d bytes, %d extents", l.VirtualSize, l.Map.Len())
				}
			}
		})
	}
}

// divideByZero leaves an x87 exception pending.
func (a *asm) divideByZero() *asm {
	// a control word that masks nothing
	a.imm(rax, dataVA+8).raw(0xc7, 0x00).raw(le.AppendUint32(nil, 0x0340)...)
	return a.raw(0xdb, 0xe3, 0xd9, 0x28, 0xd9, 0xee, 0xd9, 0xe8, 0xde, 0xf1) // fninit, fldcw, 1/0
}

package vmm

import (
	"errors"
	"slices"

	"instarfs/guest/abi"
	"instarfs/vmm/kvm"
	"instarfs/vmm/space"
	"instarfs/vmm/threads"
	"instarfs/vmm/virtio"
)

// A snapshot can be kept as bytes from one process to the next. They hold no control or segment
// registers: those of a guest at Ready are the same as at its start, but for the thread pointer.
// What is read again decides about the guest alone, which is hostile anyway; the checks here are
// for what the host itself uses.

// coder turns words into bytes, or bytes into words: one description of a layout serves both
// directions.
type coder struct {
	b       []byte // what was written, or what is left to read
	reading bool
	err     error
}

var errKept = errors.New("the snapshot makes no sense")

// check notes that what was read makes no sense unless ok.
func (c *coder) check(ok bool) {
	if !ok && c.err == nil {
		c.err = errKept
	}
}

func (c *coder) word(p *uint64) {
	if !c.reading {
		c.b = le.AppendUint64(c.b, *p)
		return
	}
	if b := c.bytes(8); b != nil {
		*p = le.Uint64(b)
	}
}

// count is a word that says how many of something follow.
func (c *coder) count(n, most int) int {
	w := uint64(n)
	c.word(&w)
	if c.check(w <= uint64(most)); c.err != nil {
		return 0
	}
	return int(w)
}

// bytes takes the next n bytes of what is read, or nil if there are not so many.
func (c *coder) bytes(n int) []byte {
	if c.check(len(c.b) >= n); c.err != nil {
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

// flag is a boolean as a word.
func (c *coder) flag(p *bool) {
	var w uint64
	if *p {
		w = 1
	}
	c.word(&w)
	c.check(w <= 1)
	*p = w == 1
}

// keep returns s as bytes.
func (s *snapshot) keep() []byte {
	c := &coder{b: make([]byte, 0, 64*space.PageLen)}
	own, proc := *s, *s.proc // others read s
	own.proc = &proc
	own.code(c)
	return c.b
}

// keptSnapshot makes a snapshot of bytes, which it goes on using.
func keptSnapshot(b []byte) (*snapshot, error) {
	s := &snapshot{pages: map[uint64]packed{}, proc: &process{}}
	c := &coder{b: b, reading: true}
	s.code(c)
	c.check(len(c.b) == 0)
	if c.err != nil {
		return nil, c.err
	}
	return s, nil
}

// code is the layout of a snapshot.
func (s *snapshot) code(c *coder) {
	c.regs(&s.regs)
	if c.reading {
		copy(s.xsave.Region[:], c.bytes(len(s.xsave.Region)))
	} else {
		c.b = append(c.b, s.xsave.Region[:]...)
	}
	words := s.disk.Words()
	for i := range words {
		c.word(&words[i])
	}
	if c.reading {
		var err error
		s.disk, err = virtio.RegistersOf(words)
		c.check(err == nil)
	}
	c.word(&s.paging.Next)
	c.word(&s.paging.Root)
	c.check(s.paging.Next%space.PageLen == 0 && s.paging.Next <= space.EndFrame)
	c.check(s.paging.Root%space.PageLen == 0 && s.paging.Root >= space.FirstFrame &&
		s.paging.Root < s.paging.Next)
	s.proc.code(c)
	c.pages(s)
}

// code is the layout of what the host keeps of a process.
func (p *process) code(c *coder) {
	c.word(&p.mmapNext)
	c.check(p.mmapNext >= space.MmapVA && p.mmapNext <= space.SystemVA)
	c.flag(&p.starved)
	p.lazy = slices.Grow(p.lazy, maxLazy)[:c.count(len(p.lazy), maxLazy)]
	for i := range p.lazy {
		l := &p.lazy[i]
		c.word(&l.start)
		c.word(&l.end)
		c.check(l.start < l.end && l.end <= space.SystemVA)
	}
	all := p.threads.All()
	all = slices.Grow(all, threads.Max)[:c.count(len(all), threads.Max)]
	for i := range all {
		t := &all[i]
		c.word(&t.ID)
		c.word(&t.FS)
		c.word(&t.Futex)
		c.flag(&t.Timed)
		c.regs(&t.Regs)
		c.check(t.ID >= 1 && t.ID <= threads.Max && t.FS < space.SystemVA)
	}
	if c.reading {
		c.check(len(all) > 0)
		p.threads = threads.Of(all)
	}
}

// regs are general registers of a program at CPL3.
func (c *coder) regs(r *kvm.Regs) {
	for _, p := range []*uint64{
		&r.RAX, &r.RBX, &r.RCX, &r.RDX, &r.RSI, &r.RDI, &r.RSP, &r.RBP,
		&r.R8, &r.R9, &r.R10, &r.R11, &r.R12, &r.R13, &r.R14, &r.R15,
		&r.RIP, &r.RFLAGS,
	} {
		c.word(p)
	}
	c.check(r.RIP < space.SystemVA && r.RFLAGS&^(userFlags|rflagsReserved) == 0)
}

// pages are the pages of RAM, in the order of their numbers.
func (c *coder) pages(s *snapshot) {
	numbers := make([]uint64, 0, len(s.pages))
	for p := range s.pages {
		numbers = append(numbers, p)
	}
	slices.Sort(numbers)
	n := c.count(len(numbers), abi.RAMLen/space.PageLen)
	for i, last := 0, uint64(0); i < n && c.err == nil; i++ {
		if !c.reading {
			b := s.pages[numbers[i]]
			c.word(&numbers[i])
			c.count(len(b), space.PageLen)
			c.b = append(c.b, b...)
			continue
		}
		var p uint64
		c.word(&p)
		b := packed(c.bytes(c.count(0, space.PageLen)))
		c.check(p > last && p < abi.RAMLen/space.PageLen && b.sound())
		s.pages[p], last = b, p
	}
}

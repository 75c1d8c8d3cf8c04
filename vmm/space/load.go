package space

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

var errNotGuest = errors.New("the guest program is not a static x86-64 ELF executable")

// Program is a static ELF executable.
type Program struct {
	Entry    uint64
	segments []segment
}

// segment is a piece of a program. Bytes past those of the file are zero.
type segment struct {
	va, size uint64
	access   uint64
	content  io.ReaderAt
	length   int // of content
}

// Parse finds the segments of a program, with the access that its program headers ask for.
// The program is ours, but it is checked like anything else: a truncated build must not become a
// crash.
func Parse(r io.ReaderAt) (*Program, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotGuest, err)
	}
	if f.Machine != elf.EM_X86_64 || f.Type != elf.ET_EXEC {
		return nil, errNotGuest
	}
	p := &Program{Entry: f.Entry}
	for _, s := range f.Progs {
		if s.Type != elf.PT_LOAD || s.Memsz == 0 {
			continue
		}
		if s.Memsz > EndFrame || s.Vaddr > SystemVA-s.Memsz || s.Filesz > s.Memsz {
			return nil, fmt.Errorf("%w: segment of %d bytes at %#x", errNotGuest, s.Memsz, s.Vaddr)
		}
		access := uint64(userRead)
		switch {
		case s.Flags&elf.PF_X != 0:
			access = userExec
		case s.Flags&elf.PF_W != 0:
			access = UserWrite
		}
		p.segments = append(p.segments, segment{s.Vaddr, s.Memsz, access, s, int(s.Filesz)})
	}
	return p, nil
}

// Populate fills memory, which is empty, with a program: page tables, system pages, segments and
// the stack, whose pointer it returns.
func Populate(mem *Memory, p *Program) (pages *Paging, sp uint64, err error) {
	if pages, err = newPaging(mem); err != nil {
		return nil, 0, err
	}
	if err := systemPages(pages); err != nil {
		return nil, 0, fmt.Errorf("system pages: %w", err)
	}
	for i := range p.segments {
		if err := pages.load(&p.segments[i]); err != nil {
			return nil, 0, err
		}
	}
	if sp, err = pages.stack(); err != nil {
		return nil, 0, err
	}
	return pages, sp, nil
}

// load maps a segment and fills it.
func (p *Paging) load(s *segment) error {
	if err := p.MapRange(s.va, s.size, s.access); err != nil {
		return fmt.Errorf("load of segment at %#x: %w", s.va, err)
	}
	err := p.Each(s.va, s.length, PTEUser, func(gpa uint64, from, to int) error {
		b, err := p.Memory.Writable(gpa, uint64(to-from))
		if err != nil {
			return err
		}
		if _, err := s.content.ReadAt(b, int64(from)); err != nil {
			return fmt.Errorf("%w: %w", errNotGuest, err)
		}
		if s.access&pteWritable == 0 {
			p.Memory.Constant.Set(gpa / PageLen)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load of segment at %#x: %w", s.va, err)
	}
	return nil
}

// The environment of the guest program. The limit has its garbage collected
// before the RAM up to endFrame is used up.
var guestEnv = []string{"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=24MiB", "GODEBUG=asyncpreemptoff=1"}

// Types of the auxiliary vector (include/uapi/linux/auxvec.h).
const (
	_AT_NULL         = 0
	_AT_PAGESZ       = 6
	_AT_RANDOM       = 25
	_AT_SYSINFO_EHDR = 33
)

// stack maps the program's stack and puts on it what a Linux kernel would (System V ABI, x86-64
// supplement, 3.4.1): argc, argv, the environment, the auxiliary vector. It returns the stack
// pointer.
func (p *Paging) stack() (sp uint64, err error) {
	if err := p.MapRange(StackTopVA-StackLen, StackLen, UserWrite); err != nil {
		return 0, fmt.Errorf("stack: %w", err)
	}
	// Strings first, from the bottom of the last page. AT_RANDOM's 16 bytes are the seed of what
	// the Go runtime hashes with.
	const strings = StackTopVA - PageLen
	data := make([]byte, 16)
	if _, err := unix.Getrandom(data, 0); err != nil {
		return 0, fmt.Errorf("getrandom: %w", err)
	}
	words := []uint64{1, strings + uint64(len(data)), 0}
	data = append(data, "guest\x00"...)
	for _, e := range guestEnv {
		words = append(words, strings+uint64(len(data)))
		data = append(append(data, e...), 0)
	}
	words = append(words, 0, _AT_PAGESZ, PageLen, _AT_RANDOM, strings, _AT_SYSINFO_EHDR, VDSOVA,
		_AT_NULL, 0)
	if err := p.Write(strings, data); err != nil {
		return 0, err
	}
	b := make([]byte, 8*len(words))
	for i, w := range words {
		le.PutUint64(b[8*i:], w)
	}
	sp = (strings - uint64(len(b))) &^ 15
	return sp, p.Write(sp, b)
}

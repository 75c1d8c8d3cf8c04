package space

import (
	"errors"
	"fmt"
)

// Bits of a page table entry (SDM vol. 3, 4.5).
const (
	ptePresent  = 1 << 0
	pteWritable = 1 << 1
	PTEUser     = 1 << 2
	pteAccessed = 1 << 5
	pteDirty    = 1 << 6
	pteNoExec   = 1 << 63
	pteAddress  = 0x000ffffffffff000
)

// Access is what a page allows, in terms of the bits above.
const (
	userRead  = PTEUser | pteNoExec
	UserWrite = PTEUser | pteWritable | pteNoExec
	userExec  = PTEUser
	system    = pteWritable | pteNoExec
)

// pteUsed is set in every entry from the start. A shadow-paging KVM must otherwise write the bits
// of use itself, and takes a second fault for the first write to a page that was read.
const pteUsed = pteAccessed | pteDirty

var errNoFrames = errors.New("guest memory is used up")

// Paging owns the guest's page tables, four levels of 4 KiB pages, and hands out its RAM frame by
// frame. Tables are never taken back: a machine whose tables changed during a run is not reset but
// thrown away, because a shadow-paging KVM does not see the host's changes to entries that it has
// already used.
type Paging struct {
	Memory *Memory
	Next   uint64 // guest-physical address of the next free frame
	Root   uint64
	Gen    int // counts changes, so that a run that made one is noticed
}

func newPaging(mem *Memory) (*Paging, error) {
	p := &Paging{Memory: mem, Next: FirstFrame}
	var err error
	p.Root, err = p.frame()
	return p, err
}

// frame takes a page of RAM, which is zero.
func (p *Paging) frame() (uint64, error) {
	if p.Next+PageLen > EndFrame {
		return 0, errNoFrames
	}
	f := p.Next
	p.Next += PageLen
	return f, nil
}

// entry is the guest-physical address of va's entry in the lowest table. With make, missing tables
// are made; without, 0 says that there is none.
func (p *Paging) entry(va uint64, make bool) (uint64, error) {
	table := p.Root
	for shift := 39; shift > 12; shift -= 9 {
		at := table + va>>shift&511*8
		b, err := p.Memory.Readable(at, 8)
		if err != nil {
			return 0, err
		}
		e := le.Uint64(b)
		if e&ptePresent == 0 {
			if !make {
				return 0, nil
			}
			f, err := p.frame()
			if err != nil {
				return 0, err
			}
			e = f | ptePresent | pteWritable | PTEUser | pteAccessed
			if err := p.put(at, e); err != nil {
				return 0, err
			}
		}
		table = e & pteAddress
	}
	return table + va>>12&511*8, nil
}

func (p *Paging) put(at, e uint64) error {
	b, err := p.Memory.Writable(at, 8)
	if err != nil {
		return err
	}
	le.PutUint64(b, e)
	p.Gen++
	return nil
}

// mapPage makes the page of va show the page gpa.
func (p *Paging) mapPage(va, gpa, access uint64) error {
	at, err := p.entry(va, true)
	if err != nil {
		return err
	}
	return p.put(at, gpa&pteAddress|access|pteUsed|ptePresent)
}

// MapRange gives every page of [va, va+n) that has none yet a fresh frame.
func (p *Paging) MapRange(va, n, access uint64) error {
	for end := va + n; va < end; va = va&^(PageLen-1) + PageLen {
		at, err := p.entry(va, true)
		if err != nil {
			return err
		}
		b, err := p.Memory.Readable(at, 8)
		if err != nil {
			return err
		}
		if le.Uint64(b)&ptePresent != 0 {
			continue
		}
		f, err := p.frame()
		if err != nil {
			return err
		}
		if err := p.put(at, f|access|pteUsed|ptePresent); err != nil {
			return err
		}
	}
	return nil
}

// Physical translates one guest-virtual address. ok is false when its page does not allow the
// program all of access, some of the bits pteUser and pteWritable.
func (p *Paging) Physical(va, access uint64) (gpa uint64, ok bool) {
	if va>>47 != 0 {
		return 0, false
	}
	at, err := p.entry(va, false)
	if err != nil || at == 0 {
		return 0, false
	}
	b, err := p.Memory.Readable(at, 8)
	if err != nil {
		return 0, false
	}
	e := le.Uint64(b)
	access |= ptePresent
	return e&pteAddress | va&(PageLen-1), e&access == access
}

// Each calls f with the pieces of n bytes from va page by page, until f fails.
func (p *Paging) Each(
	va uint64, n int, access uint64, f func(gpa uint64, from, to int) error,
) error {
	for from := 0; from < n; {
		gpa, ok := p.Physical(va+uint64(from), access)
		if !ok {
			return fmt.Errorf("guest-virtual address %#x is not the program's to use",
				va+uint64(from))
		}
		to := min(n, from+int(PageLen-gpa%PageLen))
		if err := f(gpa, from, to); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// Read copies len(b) bytes from guest-virtual va, if the program may read them.
func (p *Paging) Read(va uint64, b []byte) error {
	return p.Each(va, len(b), PTEUser, func(gpa uint64, from, to int) error {
		src, err := p.Memory.Readable(gpa, uint64(to-from))
		copy(b[from:to], src)
		return err
	})
}

// Write copies b to guest-virtual va, if the program may write there: the pages of its code and the
// trap page must not be changed by way of a system call.
func (p *Paging) Write(va uint64, b []byte) error {
	return p.Each(va, len(b), PTEUser|pteWritable, func(gpa uint64, from, to int) error {
		dst, err := p.Memory.Writable(gpa, uint64(to-from))
		copy(dst, b[from:to])
		return err
	})
}

package vmm

import (
	"bytes"
	"fmt"
	"math/bits"

	"instarfs/vmm/kvm"
	"instarfs/vmm/space"
	"instarfs/vmm/virtio"
)

// snapshot is a machine whose guest has just rung Ready. It is immutable: any number of machines
// are made from one, and go back to it after each run.
type snapshot struct {
	// pages are the pages of RAM, by number, that are not zero, without those that are as load
	// leaves them and stay so.
	pages  map[uint64]packed
	proc   *process     // without pages
	paging space.Paging // without memory
	disk   virtio.Registers
	regs   kvm.Regs
	xsave  kvm.Xsave
}

// takeSnapshot copies a machine that stands behind its Ready doorbell.
func (m *machine) takeSnapshot() (*snapshot, error) {
	s := &snapshot{pages: map[uint64]packed{}, proc: m.proc.clone(nil),
		paging: *m.proc.pages, disk: m.disk.Registers}
	s.paging.Memory = nil
	if err := m.settle(); err != nil {
		return nil, err
	}
	if err := m.cpu.Regs(&s.regs); err != nil {
		return nil, err
	}
	s.regs.RFLAGS = s.regs.RFLAGS&userFlags | rflagsReserved
	if err := m.cpu.Xsave(&s.xsave); err != nil {
		return nil, err
	}
	if err := m.mem.Allocated(m.dirty); err != nil {
		return nil, err
	}
	m.dirty.Each(func(p uint64) {
		if b := m.mem.Page(p); !m.mem.Constant.Has(p) && !bytes.Equal(b, emptyPage[:]) {
			s.pages[p] = pack(b)
		}
	})
	return s, m.logWrites()
}

var emptyPage [space.PageLen]byte

// logWrites begins the log of the pages that guest and host write.
func (m *machine) logWrites() error {
	clear(m.mem.Host)
	return m.vm.SetMemory(m.mem.Bytes, true)
}

// maxHot is how many pages may stay in the log of dirty pages from run to run: every run writes the
// same few dozen, and to copy them back each time is cheaper than the faults that tell which it
// were. More than these are the traces of a large image; they stay until a run comes that is not of
// one, for large images seldom come alone.
const maxHot = 128

// maxKept is how many pages a run may have written whose machine is kept, 16 MiB: the pages stay
// with the machine.
const maxKept = 16 << 20 / space.PageLen

// written calls f with the number and the bytes of every page that guest or host wrote since the
// last call, and perhaps of some that were written before; it returns how many of them are in the
// guest's log.
func (m *machine) written(f func(page uint64, b []byte)) (logged int, err error) {
	if err := m.vm.DirtyLog(m.dirty); err != nil {
		return 0, err
	}
	for i, w := range m.mem.Host {
		logged += bits.OnesCount64(m.dirty[i])
		m.dirty[i] |= w
	}
	clear(m.mem.Host)
	m.dirty.Each(func(p uint64) { f(p, m.mem.Page(p)) })
	return logged, nil
}

// fill brings memory, in which the program was loaded, to the snapshot.
func (s *snapshot) fill(mem *space.Memory) {
	for p, b := range s.pages {
		b.unpack(mem.Page(p))
	}
}

// restore sets everything of s but RAM.
func (m *machine) restore(s *snapshot) error {
	pages := s.paging
	pages.Memory = m.mem
	m.proc = s.proc.clone(&pages)
	m.disk.Registers = s.disk
	m.disk.Detach()
	m.cpu.SetImmediateExit(false)
	if err := m.cpu.SetXsave(&s.xsave); err != nil {
		return err
	}
	sregs := m.sregs
	return m.resume(&s.regs, &sregs)
}

// reset brings a machine back to the snapshot that it was made from: every page that guest or host
// wrote since, and every register. A machine whose page tables changed cannot be reset; see paging.
func (m *machine) reset(s *snapshot) error {
	if m.proc.pages.Gen != s.paging.Gen {
		return fmt.Errorf("the run changed its page tables")
	}
	if err := m.settle(); err != nil {
		return err
	}
	defer func() { m.large = false }()
	changed := false
	logged, err := m.written(func(p uint64, b []byte) {
		if m.mem.Constant.Has(p) {
			changed = true
		} else if src, ok := s.pages[p]; ok {
			src.unpack(b)
		} else {
			clear(b)
		}
	})
	if err != nil {
		return err
	}
	if changed {
		return fmt.Errorf("the run changed its program")
	}
	m.touched = logged
	if logged > maxHot && !m.large {
		if err := m.vm.ClearDirtyLog(m.dirty); err != nil {
			return err
		}
	}
	return m.restore(s)
}

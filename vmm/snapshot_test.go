package vmm

import (
	"bytes"
	"testing"

	"instarfs/guest/abi"
	"instarfs/vmm/space"
)

// TestProgramsStayAsTheyAre: a machine in whose program something was written is not used again,
// for a snapshot does not hold the program.
func TestProgramsStayAsTheyAre(t *testing.T) {
	p := tinyPool(t, good(func(*asm) {}))
	for _, write := range []bool{false, true} {
		m, err := p.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = m.do(func() error {
			code, ok := m.proc.pages.Physical(codeVA, space.PTEUser)
			if _, kept := p.snap.pages[code/space.PageLen]; !ok || kept ||
				!m.mem.Constant.Has(code/space.PageLen) {
				t.Errorf("code at %#x, %v, is kept: %v", code, ok, kept)
			}
			if write {
				if _, err := m.mem.Writable(code, 1); err != nil {
					t.Error(err)
				}
			}
			return m.reset(p.snap)
		})
		if (err != nil) != write {
			t.Errorf("written: %v, reset: %v", write, err)
		}
		m.destroy()
	}
}

// TestSnapshotsHoldNoZeroes: nor what nobody touched.
func TestSnapshotsHoldNoZeroes(t *testing.T) {
	p := tinyPool(t, good(func(a *asm) { a.store64(dataVA, 0) }))
	m, err := p.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer m.destroy()
	for n, b := range p.snap.pages {
		page := make([]byte, space.PageLen)
		if b.unpack(page); bytes.Equal(page, emptyPage[:]) || n >= abi.RAMLen/space.PageLen {
			t.Errorf("page %d", n)
		}
	}
}

package vmm

import (
	"testing"

	"instarfs/guest/abi"
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
			code, ok := m.proc.pages.physical(codeVA, pteUser)
			if _, kept := p.snap.pages[code/pageLen]; !ok || kept || !m.constant.has(code/pageLen) {
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
		if string(b) == string(emptyPage[:]) || n >= abi.RAMLen/pageLen {
			t.Errorf("page %d", n)
		}
	}
}

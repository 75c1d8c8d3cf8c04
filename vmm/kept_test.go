package vmm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"instarfs/guest/abi"
	"instarfs/guest/payload"
	"instarfs/needs"
	"instarfs/vmm/guestcache"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
)

// keeper makes pools of one program that keep their snapshot in one directory.
type keeper struct {
	t       *testing.T
	program []byte
	dir     string
	said    []string
}

func newKeeper(t *testing.T, program []byte) *keeper {
	needs.KVM(t)
	return &keeper{t: t, program: program, dir: filepath.Join(t.TempDir(), "cache")}
}

func (k *keeper) pool() *Pool {
	k.t.Helper()
	p, err := NewPool(Options{Program: bytes.NewReader(k.program),
		Host: session.NewHost(session.Options{Budget: testBudget}),
		Kept: Kept{Dir: guestcache.At(k.dir), Digest: sha256.Sum256(k.program),
			Log: func(line string) { k.said = append(k.said, line) }}})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { p.Close() })
	return p
}

// files are the names of what is kept.
func (k *keeper) files() []string {
	k.t.Helper()
	names, err := filepath.Glob(filepath.Join(k.dir, "*"))
	if err != nil {
		k.t.Fatal(err)
	}
	return names
}

// kept returns a pool that has stored its snapshot, and its snapshot.
func (k *keeper) kept() (*Pool, *snapshot) {
	k.t.Helper()
	p := k.pool()
	if err := p.Warm(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
	p.storing.Wait()
	return p, p.snap
}

func realAgent(t *testing.T) []byte {
	t.Helper()
	r, err := payload.Agent()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, r.Size())
	if _, err := r.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKept: a second process starts where the first one's guest was, and its runs are the same,
// again and again.
func TestKept(t *testing.T) {
	k := newKeeper(t, realAgent(t))
	first, snap := k.kept()
	if len(k.files()) != 1 {
		t.Fatal(k.files())
	}
	second := k.pool()
	loaded := second.kept()
	if loaded == nil {
		t.Fatal("nothing is loaded:", k.said)
	}
	if !bytes.Equal(loaded.keep(), snap.keep()) {
		t.Error("what is loaded is not what was stored")
	}
	for range 3 {
		for _, p := range []*Pool{first, second} {
			l, err := p.Run(t.Context(), testJob())
			if err != nil || l.VirtualSize != 1<<20 || l.Map.Len() != 1 {
				t.Errorf("%+v, %v", l, err)
			}
		}
	}
	if len(k.said) > 0 || len(k.files()) != 1 {
		t.Error(k.said, k.files())
	}
}

// TestDamagedIsReplaced: a file that is damaged is said, and replaced by the next boot.
func TestDamagedIsReplaced(t *testing.T) {
	k := newKeeper(t, good(func(*asm) {}).elf())
	k.kept()
	name := k.files()[0]
	size := fileSize(t, name)
	for at := int64(0); at < size; at += size/7 - 1 {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := f.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		f.Close()
		k.said = nil
		p := k.pool()
		if _, err := p.Run(t.Context(), testJob()); err != nil {
			t.Error(err)
		}
		p.storing.Wait()
		if len(k.said) != 1 || !strings.Contains(k.said[0], "damaged") {
			t.Errorf("byte %d: %q", at, k.said)
		}
		if !slices.Equal(k.files(), []string{name}) || fileSize(t, name) != size {
			t.Errorf("byte %d: %v", at, k.files())
		}
	}
}

func fileSize(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestSenseless: bytes that are whole and make no sense are said, and replaced.
func TestSenseless(t *testing.T) {
	k := newKeeper(t, good(func(*asm) {}).elf())
	p, snap := k.kept()
	b := snap.keep()
	le.PutUint64(b[16*8:], math.MaxUint64) // RIP
	if err := p.opts.Kept.Dir.Store(p.key(), b); err != nil {
		t.Fatal(err)
	}
	if _, err := k.pool().Run(t.Context(), testJob()); err != nil {
		t.Error(err)
	}
	if len(k.said) != 1 || !strings.Contains(k.said[0], errKept.Error()) {
		t.Errorf("%q", k.said)
	}
}

// TestOfAnotherProgram: what is kept of one program is nothing to another one.
func TestOfAnotherProgram(t *testing.T) {
	k := newKeeper(t, good(func(*asm) {}).elf())
	k.kept()
	k.program = good(func(a *asm) { a.raw(0x90) }).elf()
	k.kept()
	if len(k.files()) != 2 || len(k.said) > 0 {
		t.Error(k.files(), k.said)
	}
}

// TestDoubt: a guest that ended as none should may have been broken from the start.
func TestDoubt(t *testing.T) {
	for name, test := range map[string]struct {
		a    *asm
		left int
	}{
		"fault":  {new(asm).ready().ud2(), 0},
		"budget": {good(func(a *asm) { a.forever(func() { a.bell(abi.BellRing) }) }), 1},
		"good":   {good(func(*asm) {}), 1},
	} {
		k := newKeeper(t, test.a.elf())
		p, _ := k.kept()
		_, err := p.Run(t.Context(), testJob())
		if got := k.files(); len(got) != test.left {
			t.Errorf("%s: %v is left after %v", name, got, err)
		}
	}
}

// TestWithoutPlace: where nothing can be kept the guest is booted, and it is said why.
func TestWithoutPlace(t *testing.T) {
	k := newKeeper(t, good(func(*asm) {}).elf())
	if err := os.WriteFile(k.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := k.pool()
	if _, err := p.Run(t.Context(), testJob()); err != nil {
		t.Error(err)
	}
	p.storing.Wait()
	if len(k.said) == 0 || !strings.Contains(k.said[0], k.dir) {
		t.Errorf("%q", k.said)
	}
}

// FuzzKept reads anything as a snapshot. What is accepted is what was written, and the host can use
// it.
func FuzzKept(f *testing.F) {
	s := &snapshot{proc: &process{mmapNext: space.MmapVA, lazy: []span{{1, 2}}},
		paging: space.Paging{Next: 10 * space.PageLen, Root: space.PageLen},
		pages: map[uint64]packed{1: pack(make([]byte, space.PageLen)), 9: make(packed,
			space.PageLen)}}
	s.regs.RFLAGS = rflagsReserved
	s.proc.threads.Current.ID = 1
	f.Add(s.keep())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := keptSnapshot(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.keep(), b) {
			t.Error("it is written as something else")
		}
		for n, p := range s.pages {
			if n == 0 || n >= abi.RAMLen/space.PageLen || !p.sound() {
				t.Errorf("page %d of %d bytes", n, len(p))
			}
		}
		if len(s.proc.lazy) > maxLazy || s.paging.Next > space.EndFrame ||
			s.regs.RIP >= space.SystemVA {
			t.Errorf("%+v", s)
		}
	})
}

// TestKeptCut: no part of what is kept is taken for the whole.
func TestKeptCut(t *testing.T) {
	s := &snapshot{proc: &process{mmapNext: space.MmapVA},
		paging: space.Paging{Next: 10 * space.PageLen, Root: space.PageLen},
		pages:  map[uint64]packed{3: pack(make([]byte, space.PageLen))}}
	s.proc.threads.Current.ID = 1
	b := s.keep()
	if _, err := keptSnapshot(b); err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := keptSnapshot(b[:n]); err == nil {
			t.Errorf("%d of %d bytes are enough", n, len(b))
		}
	}
	if _, err := keptSnapshot(binary.LittleEndian.AppendUint64(b, 0)); err == nil {
		t.Error("more bytes are ignored")
	}
}

package space

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"instarfs/guest/abi"
)

// testPaging is empty page tables over all of RAM, without a machine.
func testPaging(t testing.TB) *Paging {
	t.Helper()
	mem, err := NewMemory(abi.RAMLen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mem.Close)
	p, err := newPaging(mem)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMapPage(t *testing.T) {
	p := testPaging(t)
	for _, va := range []uint64{0, 0x400000, MmapVA, SystemVA - PageLen, TrapVA, abi.SharedVA,
		1<<47 - PageLen} {
		gpa, err := p.frame()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.mapPage(va, gpa, UserWrite); err != nil {
			t.Fatal(err)
		}
		if got, ok := p.Physical(va+0x123, PTEUser|pteWritable); !ok || got != gpa+0x123 {
			t.Errorf("%#x is at %#x, %v, want %#x", va, got, ok, gpa)
		}
		for _, other := range []uint64{va + PageLen, va - 1} {
			if got, ok := p.Physical(other, 0); ok && got&^(PageLen-1) == gpa {
				t.Errorf("%#x is %#x too", other, va)
			}
		}
	}
	for _, va := range []uint64{1 << 47, 1<<47 + 0x400000, 1 << 48, 0xffff800000000000,
		math.MaxUint64} {
		if got, ok := p.Physical(va, 0); ok {
			t.Errorf("%#x outside of the lower half is at %#x", va, got)
		}
	}
}

// TestAccess: the host does for a program only what the program could do itself.
func TestAccess(t *testing.T) {
	const va = 0x400000
	for _, test := range []struct {
		name                      string
		access                    uint64
		readable, writable, noExe bool
	}{
		{"read", userRead, true, false, true},
		{"write", UserWrite, true, true, true},
		{"exec", userExec, true, false, false},
		{"system", system, false, false, true},
	} {
		p := testPaging(t)
		if err := p.MapRange(va, 1, test.access); err != nil {
			t.Fatal(err)
		}
		if err := p.Read(va, make([]byte, 8)); (err == nil) != test.readable {
			t.Errorf("%s: read: %v", test.name, err)
		}
		if err := p.Write(va, make([]byte, 8)); (err == nil) != test.writable {
			t.Errorf("%s: write: %v", test.name, err)
		}
		at, err := p.entry(va, false)
		if err != nil {
			t.Fatal(err)
		}
		if e := le.Uint64(p.Memory.Bytes[at:]); e>>63 == 1 != test.noExe || e&ptePresent == 0 {
			t.Errorf("%s: entry %#x", test.name, e)
		}
	}
}

func TestMapRange(t *testing.T) {
	p := testPaging(t)
	const va = 0x7ffff0f00 // from inside a page over a 2 MiB and a 1 GiB border
	const n = 3*PageLen + 0x80
	if err := p.MapRange(va, n, UserWrite); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456"), n)[:n]
	if err := p.Write(va, want); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, n)
	if err := p.Read(va, got); err != nil || !bytes.Equal(got, want) {
		t.Error("what was written is not read:", err)
	}
	for _, out := range []uint64{va&^(PageLen-1) - 1, (va + n + PageLen - 1) &^ (PageLen - 1)} {
		if _, ok := p.Physical(out, 0); ok {
			t.Errorf("%#x is mapped", out)
		}
	}
	// A page that is there stays, with what is in it and what it allows.
	gen, next := p.Gen, p.Next
	if err := p.MapRange(va, n, userExec); err != nil || p.Gen != gen || p.Next != next {
		t.Error(err, p.Gen-gen, p.Next-next)
	}
	if err := p.MapRange(va, 0, UserWrite); err != nil || p.Gen != gen {
		t.Error("nothing changed something:", err)
	}
	// Over the end of what is mapped: all that is there is written, the rest is an error.
	if err := p.Write(va+n, make([]byte, 2*PageLen)); err == nil {
		t.Error("wrote where nothing is")
	}
	if err := p.Read(math.MaxUint64-3, make([]byte, 8)); err == nil {
		t.Error("read around the end of the address space")
	}
	if err := p.Read(1<<60, nil); err != nil {
		t.Error("nothing cannot be read:", err)
	}
}

func TestFramesRunOut(t *testing.T) {
	p := testPaging(t)
	if err := p.MapRange(MmapVA, abi.RAMLen, UserWrite); !errors.Is(err, errNoFrames) {
		t.Fatal(err)
	}
	if p.Next > EndFrame {
		t.Errorf("frames up to %#x, into the shared window", p.Next)
	}
	if err := p.mapPage(0x1000, 0, userRead); !errors.Is(err, errNoFrames) {
		t.Error("tables from nowhere:", err)
	}
	if _, err := (&Paging{Next: EndFrame - PageLen + 1}).frame(); !errors.Is(err, errNoFrames) {
		t.Error(err)
	}
}

// TestDevicePages: pages of the device are the program's to touch, but they are no memory that the
// host could copy.
func TestDevicePages(t *testing.T) {
	p := testPaging(t)
	if err := systemPages(p); err != nil {
		t.Fatal(err)
	}
	for _, va := range []uint64{abi.DeviceVA, abi.DoorbellVA, GDTVA, TSSVA, IDTVA, TrapStack - 8,
		TrapStack, 0} {
		if p.Read(va, make([]byte, 8)) == nil || p.Write(va, make([]byte, 8)) == nil {
			t.Errorf("%#x can be used by system calls", va)
		}
	}
	if p.Write(TrapVA, []byte{0x90}) == nil {
		t.Error("the trap page can be written")
	}
	if err := p.Write(abi.SharedVA+abi.SharedLen-8, make([]byte, 8)); err != nil {
		t.Error(err)
	}
	if p.Write(abi.SharedVA+abi.SharedLen-4, make([]byte, 8)) == nil {
		t.Error("the shared window is larger than it is")
	}
}

func TestMemory(t *testing.T) {
	mem := testPaging(t).Memory
	mem.Host = NewBitmap(abi.RAMLen / PageLen)
	w := mem.Shared()
	const max = math.MaxUint64
	for _, test := range []struct {
		gpa, n     uint64
		ram, inWin bool
	}{
		{0, 0, true, false}, {0, abi.RAMLen, true, false}, {1, abi.RAMLen, false, false},
		{abi.RAMLen, 0, true, true},
		{abi.RAMLen, 1, false, false}, {abi.RAMLen - 1, 1, true, true}, {max, 1, false, false},
		{max, 0, false, false},
		{1, max, false, false}, {abi.SharedGPA, abi.SharedLen, true, true},
		{abi.SharedGPA - 1, 1, true, false},
		{abi.SharedGPA - 1, 2, true, false}, {abi.SharedGPA + 1, abi.SharedLen, false, false},
		{abi.SharedGPA, max, false, false},
	} {
		b, err := mem.Readable(test.gpa, test.n)
		if (err == nil) != test.ram ||
			err == nil && (uint64(len(b)) != test.n || cap(b) != len(b)) {
			t.Errorf("ram %#x+%#x: %d bytes, %v", test.gpa, test.n, len(b), err)
		}
		if _, err := w.Readable(test.gpa, test.n); (err == nil) != test.inWin {
			t.Errorf("window %#x+%#x: %v", test.gpa, test.n, err)
		}
		clear(mem.Host)
		_, err = w.Writable(test.gpa, test.n)
		if (err == nil) != test.inWin {
			t.Errorf("window %#x+%#x: %v", test.gpa, test.n, err)
		}
		for p := range uint64(abi.RAMLen / PageLen) {
			touched := test.inWin && test.n > 0 && p*PageLen < test.gpa+
				test.n && (p+1)*PageLen > test.gpa
			if got := mem.Host[p/64]>>(p%64)&1 == 1; got != touched {
				t.Fatalf("%#x+%#x: page %d is marked: %v", test.gpa, test.n, p, got)
			}
		}
	}
}

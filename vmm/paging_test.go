package vmm

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"instarfs/guest/abi"
)

// testPaging is empty page tables over all of RAM, without a machine.
func testPaging(t testing.TB) *paging {
	t.Helper()
	mem, err := newMemory(abi.RAMLen)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.close() })
	p, err := newPaging(mem)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMapPage(t *testing.T) {
	p := testPaging(t)
	for _, va := range []uint64{0, 0x400000, mmapVA, systemVA - pageLen, trapVA, abi.SharedVA,
		1<<47 - pageLen} {
		gpa, err := p.frame()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.mapPage(va, gpa, userWrite); err != nil {
			t.Fatal(err)
		}
		if got, ok := p.physical(va+0x123, pteUser|pteWritable); !ok || got != gpa+0x123 {
			t.Errorf("%#x is at %#x, %v, want %#x", va, got, ok, gpa)
		}
		for _, other := range []uint64{va + pageLen, va - 1} {
			if got, ok := p.physical(other, 0); ok && got&^(pageLen-1) == gpa {
				t.Errorf("%#x is %#x too", other, va)
			}
		}
	}
	for _, va := range []uint64{1 << 47, 1<<47 + 0x400000, 1 << 48, 0xffff800000000000,
		math.MaxUint64} {
		if got, ok := p.physical(va, 0); ok {
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
		{"write", userWrite, true, true, true},
		{"exec", userExec, true, false, false},
		{"system", system, false, false, true},
	} {
		p := testPaging(t)
		if err := p.mapRange(va, 1, test.access); err != nil {
			t.Fatal(err)
		}
		if err := p.read(va, make([]byte, 8)); (err == nil) != test.readable {
			t.Errorf("%s: read: %v", test.name, err)
		}
		if err := p.write(va, make([]byte, 8)); (err == nil) != test.writable {
			t.Errorf("%s: write: %v", test.name, err)
		}
		at, err := p.entry(va, false)
		if err != nil {
			t.Fatal(err)
		}
		if e := le.Uint64(p.mem.b[at:]); e>>63 == 1 != test.noExe || e&ptePresent == 0 {
			t.Errorf("%s: entry %#x", test.name, e)
		}
	}
}

func TestMapRange(t *testing.T) {
	p := testPaging(t)
	const va = 0x7ffff0f00 // from inside a page over a 2 MiB and a 1 GiB border
	const n = 3*pageLen + 0x80
	if err := p.mapRange(va, n, userWrite); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456"), n)[:n]
	if err := p.write(va, want); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, n)
	if err := p.read(va, got); err != nil || !bytes.Equal(got, want) {
		t.Error("what was written is not read:", err)
	}
	for _, out := range []uint64{va&^(pageLen-1) - 1, (va + n + pageLen - 1) &^ (pageLen - 1)} {
		if _, ok := p.physical(out, 0); ok {
			t.Errorf("%#x is mapped", out)
		}
	}
	// A page that is there stays, with what is in it and what it allows.
	gen, next := p.gen, p.next
	if err := p.mapRange(va, n, userExec); err != nil || p.gen != gen || p.next != next {
		t.Error(err, p.gen-gen, p.next-next)
	}
	if err := p.mapRange(va, 0, userWrite); err != nil || p.gen != gen {
		t.Error("nothing changed something:", err)
	}
	// Over the end of what is mapped: all that is there is written, the rest is an error.
	if err := p.write(va+n, make([]byte, 2*pageLen)); err == nil {
		t.Error("wrote where nothing is")
	}
	if err := p.read(math.MaxUint64-3, make([]byte, 8)); err == nil {
		t.Error("read around the end of the address space")
	}
	if err := p.read(1<<60, nil); err != nil {
		t.Error("nothing cannot be read:", err)
	}
}

func TestFramesRunOut(t *testing.T) {
	p := testPaging(t)
	if err := p.mapRange(mmapVA, abi.RAMLen, userWrite); !errors.Is(err, errNoFrames) {
		t.Fatal(err)
	}
	if p.next > endFrame {
		t.Errorf("frames up to %#x, into the shared window", p.next)
	}
	if err := p.mapPage(0x1000, 0, userRead); !errors.Is(err, errNoFrames) {
		t.Error("tables from nowhere:", err)
	}
	if _, err := (&paging{next: endFrame - pageLen + 1}).frame(); !errors.Is(err, errNoFrames) {
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
	for _, va := range []uint64{abi.DeviceVA, abi.DoorbellVA, gdtVA, tssVA, idtVA, trapStack - 8,
		trapStack, 0} {
		if p.read(va, make([]byte, 8)) == nil || p.write(va, make([]byte, 8)) == nil {
			t.Errorf("%#x can be used by system calls", va)
		}
	}
	if p.write(trapVA, []byte{0x90}) == nil {
		t.Error("the trap page can be written")
	}
	if err := p.write(abi.SharedVA+abi.SharedLen-8, make([]byte, 8)); err != nil {
		t.Error(err)
	}
	if p.write(abi.SharedVA+abi.SharedLen-4, make([]byte, 8)) == nil {
		t.Error("the shared window is larger than it is")
	}
}

func TestMemory(t *testing.T) {
	mem := testPaging(t).mem
	mem.host = newBitmap(abi.RAMLen / pageLen)
	w := window{mem, abi.SharedGPA, abi.RAMLen}
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
		clear(mem.host)
		_, err = w.Writable(test.gpa, test.n)
		if (err == nil) != test.inWin {
			t.Errorf("window %#x+%#x: %v", test.gpa, test.n, err)
		}
		for p := range uint64(abi.RAMLen / pageLen) {
			touched := test.inWin && test.n > 0 && p*pageLen < test.gpa+
				test.n && (p+1)*pageLen > test.gpa
			if got := mem.host[p/64]>>(p%64)&1 == 1; got != touched {
				t.Fatalf("%#x+%#x: page %d is marked: %v", test.gpa, test.n, p, got)
			}
		}
	}
}

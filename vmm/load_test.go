package vmm

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

// Offsets of the second program header of asm.elf, its data segment.
const secondHeader, vaddrAt, fileszAt, memszAt = 120, 16, 32, 40

// loadAll parses a program and loads it.
func loadAll(p *paging, b []byte) (entry uint64, err error) {
	program, err := parseProgram(bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	for i := range program.segments {
		if err := p.load(&program.segments[i], newBitmap(endFrame/pageLen)); err != nil {
			return 0, err
		}
	}
	return program.entry, nil
}

func TestLoad(t *testing.T) {
	p := testPaging(t)
	a := new(asm).ud2()
	a.data = bytes.Repeat([]byte("data"), 2000)
	program := a.elf()
	le.PutUint64(program[secondHeader+memszAt:], 5*pageLen) // with a tail of zeroes
	entry, err := loadAll(p, program)
	if err != nil || entry != codeVA {
		t.Fatalf("%#x, %v", entry, err)
	}
	got := make([]byte, 5*pageLen)
	if err := p.read(dataVA, got); err != nil || !bytes.Equal(got[:8000], a.data) ||
		!bytes.Equal(got[8000:], make([]byte, 5*pageLen-8000)) {
		t.Error("the data segment is not there:", err)
	}
	if p.write(codeVA, []byte{0}) == nil || p.write(dataVA, []byte{0}) != nil {
		t.Error("code can be written, or data cannot")
	}
}

func TestLoadRefuses(t *testing.T) {
	good := new(asm).ud2().elf()
	header := func(at int, v uint64) func(b []byte) []byte {
		return func(b []byte) []byte {
			le.PutUint64(b[secondHeader+at:], v)
			return b
		}
	}
	half := func(at int, v uint16) func(b []byte) []byte {
		return func(b []byte) []byte {
			le.PutUint16(b[at:], v)
			return b
		}
	}
	tests := []struct {
		name string
		lie  func(b []byte) []byte
		want error
	}{
		{"empty", func([]byte) []byte { return nil }, errNotGuest},
		{"script", func([]byte) []byte { return []byte("#!/bin/sh\n") }, errNotGuest},
		{"header cut", func(b []byte) []byte { return b[:100] }, errNotGuest},
		{"segment cut", func(b []byte) []byte { return b[:len(b)-1] }, errNotGuest},
		{"shared object", half(16, 3), errNotGuest},
		{"other machine", half(18, 40), errNotGuest},
		{"over the system's pages", header(vaddrAt, systemVA), errNotGuest},
		{"into the system's pages",
			func(b []byte) []byte {
				return header(memszAt,
					2*pageLen)(header(vaddrAt, systemVA-pageLen)(b))
			}, errNotGuest},
		{"address that wraps", header(vaddrAt, math.MaxUint64), errNotGuest},
		{"more file than memory", header(fileszAt, 100), errNotGuest},
		{"larger than memory", header(memszAt, endFrame+1), errNotGuest},
		{"size that wraps", header(memszAt, math.MaxUint64), errNotGuest},
		{"does not fit beside the rest", header(memszAt, endFrame), errNoFrames},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := loadAll(testPaging(t), test.lie(bytes.Clone(good)))
			if !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
		})
	}
}

// FuzzLoad changes bytes of the headers: whatever they say, loading ends, without a panic, in the
// frames there are.
func FuzzLoad(f *testing.F) {
	good := new(asm).ud2().elf()
	f.Add(uint16(16), uint64(3))
	f.Add(uint16(secondHeader+vaddrAt), uint64(systemVA))
	f.Add(uint16(54), uint64(0))
	f.Fuzz(func(t *testing.T, at uint16, v uint64) {
		b := bytes.Clone(good)
		le.PutUint64(b[int(at)%(len(b)-8):], v)
		p := testPaging(t)
		_, _ = loadAll(p, b)
		if p.next > endFrame {
			t.Fatalf("frames up to %#x", p.next)
		}
		if _, ok := p.physical(systemVA, 0); ok {
			t.Fatal("a segment in the system's pages")
		}
	})
}

// TestStack: argc, argv, environment and auxiliary vector, as the System V ABI wants them.
func TestStack(t *testing.T) {
	p := testPaging(t)
	sp, err := p.stack()
	if err != nil || sp%16 != 0 || sp >= stackTopVA || sp < stackTopVA-2*pageLen {
		t.Fatalf("%#x, %v", sp, err)
	}
	at := sp
	word := func() uint64 {
		t.Helper()
		var b [8]byte
		if err := p.read(at, b[:]); err != nil {
			t.Fatal(err)
		}
		at += 8
		return le.Uint64(b[:])
	}
	text := func(va uint64) string {
		b := make([]byte, 64)
		if err := p.read(va, b); err != nil {
			t.Fatal(err)
		}
		return string(b[:bytes.IndexByte(b, 0)])
	}
	if argc := word(); argc != 1 {
		t.Errorf("%d arguments", argc)
	}
	if s := text(word()); s != "guest" {
		t.Errorf("argv[0] is %q", s)
	}
	if word() != 0 {
		t.Error("argv has no end")
	}
	for _, want := range guestEnv {
		if s := text(word()); s != want {
			t.Errorf("environment has %q, want %q", s, want)
		}
	}
	if word() != 0 {
		t.Error("the environment has no end")
	}
	aux := map[uint64]uint64{}
	for k := word(); k != _AT_NULL; k = word() {
		aux[k] = word()
	}
	if aux[_AT_PAGESZ] != pageLen || aux[_AT_SYSINFO_EHDR] != vdsoVA ||
		p.read(aux[_AT_RANDOM], make([]byte, 16)) != nil {
		t.Error(aux)
	}
	if err := p.write(stackTopVA-stackLen, []byte{1}); err != nil {
		t.Error("the stack is shorter than it should be:", err)
	}
	if p.write(stackTopVA, []byte{1}) == nil || p.write(stackTopVA-stackLen-1, []byte{1}) == nil {
		t.Error("something is mapped beside the stack")
	}
}

package space

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"instarfs/vmm/space/spacetest"
)

// Offsets of the second program header of spacetest.ELF, its data segment.
const secondHeader, vaddrAt, fileszAt, memszAt = 120, 16, 32, 40

// loadAll parses a program and loads it.
func loadAll(p *Paging, b []byte) (entry uint64, err error) {
	program, err := Parse(bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	for i := range program.segments {
		if err := p.load(&program.segments[i]); err != nil {
			return 0, err
		}
	}
	return program.Entry, nil
}

func TestLoad(t *testing.T) {
	p := testPaging(t)
	data := bytes.Repeat([]byte("data"), 2000)
	program := spacetest.ELF([]byte{0x0f, 0x0b}, data)
	le.PutUint64(program[secondHeader+memszAt:], 5*PageLen) // with a tail of zeroes
	entry, err := loadAll(p, program)
	if err != nil || entry != spacetest.CodeVA {
		t.Fatalf("%#x, %v", entry, err)
	}
	got := make([]byte, 5*PageLen)
	if err := p.Read(spacetest.DataVA, got); err != nil || !bytes.Equal(got[:8000], data) ||
		!bytes.Equal(got[8000:], make([]byte, 5*PageLen-8000)) {
		t.Error("the data segment is not there:", err)
	}
	if p.Write(spacetest.CodeVA, []byte{0}) == nil || p.Write(spacetest.DataVA, []byte{0}) != nil {
		t.Error("code can be written, or data cannot")
	}
}

func TestLoadRefuses(t *testing.T) {
	good := spacetest.ELF([]byte{0x0f, 0x0b}, nil)
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
		{"over the system's pages", header(vaddrAt, SystemVA), errNotGuest},
		{"into the system's pages",
			func(b []byte) []byte {
				return header(memszAt,
					2*PageLen)(header(vaddrAt, SystemVA-PageLen)(b))
			}, errNotGuest},
		{"address that wraps", header(vaddrAt, math.MaxUint64), errNotGuest},
		{"more file than memory", header(fileszAt, 100), errNotGuest},
		{"larger than memory", header(memszAt, EndFrame+1), errNotGuest},
		{"size that wraps", header(memszAt, math.MaxUint64), errNotGuest},
		{"does not fit beside the rest", header(memszAt, EndFrame), errNoFrames},
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
	good := spacetest.ELF([]byte{0x0f, 0x0b}, nil)
	f.Add(uint16(16), uint64(3))
	f.Add(uint16(secondHeader+vaddrAt), uint64(SystemVA))
	f.Add(uint16(54), uint64(0))
	f.Fuzz(func(t *testing.T, at uint16, v uint64) {
		b := bytes.Clone(good)
		le.PutUint64(b[int(at)%(len(b)-8):], v)
		p := testPaging(t)
		_, _ = loadAll(p, b)
		if p.Next > EndFrame {
			t.Fatalf("frames up to %#x", p.Next)
		}
		if _, ok := p.Physical(SystemVA, 0); ok {
			t.Fatal("a segment in the system's pages")
		}
	})
}

// TestStack: argc, argv, environment and auxiliary vector, as the System V ABI wants them.
func TestStack(t *testing.T) {
	p := testPaging(t)
	sp, err := p.stack()
	if err != nil || sp%16 != 0 || sp >= StackTopVA || sp < StackTopVA-2*PageLen {
		t.Fatalf("%#x, %v", sp, err)
	}
	at := sp
	word := func() uint64 {
		t.Helper()
		var b [8]byte
		if err := p.Read(at, b[:]); err != nil {
			t.Fatal(err)
		}
		at += 8
		return le.Uint64(b[:])
	}
	text := func(va uint64) string {
		b := make([]byte, 64)
		if err := p.Read(va, b); err != nil {
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
	if aux[_AT_PAGESZ] != PageLen || aux[_AT_SYSINFO_EHDR] != VDSOVA ||
		p.Read(aux[_AT_RANDOM], make([]byte, 16)) != nil {
		t.Error(aux)
	}
	if err := p.Write(StackTopVA-StackLen, []byte{1}); err != nil {
		t.Error("the stack is shorter than it should be:", err)
	}
	if p.Write(StackTopVA, []byte{1}) == nil || p.Write(StackTopVA-StackLen-1, []byte{1}) == nil {
		t.Error("something is mapped beside the stack")
	}
}

// TestSeeds: each boot has its own, and what is kept has that of its boot.
func TestSeeds(t *testing.T) {
	seed := func() (b [16]byte) {
		p := testPaging(t)
		if _, err := p.stack(); err != nil {
			t.Fatal(err)
		}
		if err := p.Read(StackTopVA-PageLen, b[:]); err != nil {
			t.Fatal(err)
		}
		return b
	}
	if a, b := seed(), seed(); a == b {
		t.Errorf("two boots with AT_RANDOM %x", a)
	}
}

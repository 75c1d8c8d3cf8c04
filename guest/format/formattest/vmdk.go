package formattest

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// VmdkSparse builds a sparse file of a VMDK. What is wrong with one is put in by Spoil.
type VmdkSparse struct {
	Kind         string // KDMV, COWD or SESPARSE
	Capacity     uint64 // sectors
	Grain        uint64 // sectors; 8 of a SESPARSE
	TableEntries uint64 // of a KDMV
	Version      uint32
	Flags        uint32
	Compression  uint16
	AtEnd        bool // the header is in the footer
	Text         string
	// Entries are those of the grain tables, by grain. A table exists where there is one.
	Entries map[uint64]uint64

	spoils []spoil
}

// NewVmdkSparse starts a file of capacity sectors without any grain.
func NewVmdkSparse(kind string, capacity, grain uint64) *VmdkSparse {
	s := &VmdkSparse{Kind: kind, Capacity: capacity, Grain: grain, TableEntries: 512, Version: 1, Flags: 3, Entries: map[uint64]uint64{}}
	s.Text = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\n"
	switch kind {
	case "COWD":
		s.TableEntries = 4096
	case "SESPARSE":
		s.TableEntries, s.Grain = 4096, 8
	}
	return s
}

func (s *VmdkSparse) entrySize() uint64 {
	if s.Kind == "SESPARSE" {
		return 8
	}
	return 4
}

// DirectoryOffset is where the grain directory is, bytes.
func (s *VmdkSparse) DirectoryOffset() uint64 {
	return map[string]uint64{"KDMV": 21, "COWD": 4, "SESPARSE": 8}[s.Kind] * sectorSize
}

// DirectoryEntries is how many entries it has.
func (s *VmdkSparse) DirectoryEntries() uint64 {
	reach := s.TableEntries * s.Grain
	return (s.Capacity + reach - 1) / reach
}

// TablesOffset is where the grain tables begin, bytes. They follow each other in the order of their numbers.
func (s *VmdkSparse) TablesOffset() uint64 {
	return sectors(s.DirectoryOffset()+s.DirectoryEntries()*s.entrySize()) * sectorSize
}

func sectors(n uint64) uint64 { return (n + sectorSize - 1) / sectorSize }

// Spoil overwrites bytes when everything else is written.
func (s *VmdkSparse) Spoil(off uint64, b ...byte) { s.spoils = append(s.spoils, spoil{off, b}) }

// Spoil64 is Spoil with a little-endian number.
func (s *VmdkSparse) Spoil64(off, v uint64) {
	s.Spoil(off, binary.LittleEndian.AppendUint64(nil, v)...)
}

// Spoil32 is Spoil with a little-endian number.
func (s *VmdkSparse) Spoil32(off uint64, v uint32) {
	s.Spoil(off, binary.LittleEndian.AppendUint32(nil, v)...)
}

// Stored is the entry of a seSparse file's grain that is number n of those stored.
func Stored(n uint64) uint64 { return 3<<60 | n&0xfff<<48 | n>>12 }

// Bytes is the file.
func (s *VmdkSparse) Bytes() []byte {
	size := s.entrySize()
	put := func(b []byte, v uint64) {
		if size == 8 {
			binary.LittleEndian.PutUint64(b, v)
		} else {
			binary.LittleEndian.PutUint32(b, uint32(v))
		}
	}
	var used []uint64
	for g := range s.Entries {
		if t := g / s.TableEntries; !slices.Contains(used, t) {
			used = append(used, t)
		}
	}
	slices.Sort(used)
	tableLen := sectors(s.TableEntries*size) * sectorSize
	base := s.TablesOffset()
	b := make([]byte, base+uint64(len(used))*tableLen)
	for i, t := range used {
		at := base + uint64(i)*tableLen
		entry := at / sectorSize
		if s.Kind == "SESPARSE" {
			entry = 1<<60 | uint64(i)
		}
		put(b[s.DirectoryOffset()+t*size:], entry)
		for j := range s.TableEntries {
			put(b[at+j*size:], s.Entries[t*s.TableEntries+j])
		}
	}
	s.header(b)
	if s.AtEnd {
		foot := make([]byte, 3*sectorSize)
		foot[12] = 3
		copy(foot[sectorSize:], b[:sectorSize])
		binary.LittleEndian.PutUint64(b[56:], 1<<64-1)
		b = append(b, foot...)
	}
	for _, p := range s.spoils {
		if short := int(p.off) + len(p.bytes) - len(b); short > 0 {
			b = append(b, make([]byte, short)...)
		}
		copy(b[p.off:], p.bytes)
	}
	return b
}

func (s *VmdkSparse) header(b []byte) {
	le := binary.LittleEndian
	switch s.Kind {
	case "KDMV":
		copy(b, "KDMV")
		le.PutUint32(b[4:], s.Version)
		le.PutUint32(b[8:], s.Flags)
		for i, v := range []uint64{s.Capacity, s.Grain, 1, 20} {
			le.PutUint64(b[12+8*i:], v)
		}
		le.PutUint32(b[44:], uint32(s.TableEntries))
		for i, v := range []uint64{s.DirectoryOffset() / sectorSize, s.DirectoryOffset() / sectorSize, sectors(uint64(len(b)))} {
			le.PutUint64(b[48+8*i:], v)
		}
		copy(b[73:], "\n \r\n")
		le.PutUint16(b[77:], s.Compression)
		copy(b[sectorSize:s.DirectoryOffset()], s.Text)
	case "COWD":
		copy(b, "COWD")
		for i, v := range []uint64{1, 3, s.Capacity, s.Grain, s.DirectoryOffset() / sectorSize, s.DirectoryEntries()} {
			le.PutUint32(b[4+4*i:], uint32(v))
		}
		copy(b[sectorSize:s.DirectoryOffset()], s.Text)
	case "SESPARSE":
		for i, v := range map[int]uint64{0: 0xcafebabe, 1: 2<<32 | 1, 2: s.Capacity, 3: s.Grain, 4: 64, 10: 1, 11: 1,
			16: s.DirectoryOffset() / sectorSize, 17: sectors(s.DirectoryEntries() * 8), 18: s.TablesOffset() / sectorSize,
			24: sectors(uint64(len(b)))} {
			le.PutUint64(b[8*i:], v)
		}
		le.PutUint64(b[sectorSize:], 0xcafecafe)
	}
}

// RandomSparse is a file with random entries of all sorts, seldom wrong ones.
func RandomSparse(rng *rand.Rand, kind string) *VmdkSparse {
	grain := []uint64{1, 8, 16, 100, 127, 128, 128, 512}[rng.Intn(8)]
	s := NewVmdkSparse(kind, uint64(rng.Intn(1<<(1+rng.Intn(14)))), grain)
	if kind == "KDMV" {
		s.TableEntries = []uint64{1, 3, 64, 511, 512, 512}[rng.Intn(6)]
		s.Version = uint32(rng.Intn(4))
		s.Compression = uint16(rng.Intn(8) / 6)
		if rng.Intn(2) == 0 {
			s.Flags |= 4
		}
		s.AtEnd = rng.Intn(8) == 0
	}
	next, wrong := uint64(1000), rng.Intn(6) == 0
	for g := uint64(0); g < (s.Capacity+s.Grain-1)/s.Grain; g++ {
		if rng.Intn(3) == 0 {
			next += uint64(rng.Intn(4)) * s.Grain
		}
		step := s.Grain
		var e uint64
		switch n := rng.Intn(10); {
		case n < 3:
			continue
		case n == 3:
			e = 1
			if kind == "SESPARSE" {
				e = uint64(1+rng.Intn(2))<<60 | uint64(rng.Intn(2))*rng.Uint64()>>4
			}
		case kind == "SESPARSE":
			e, step = Stored(next), 1
			if wrong && n == 4 {
				e = rng.Uint64() | 1<<63
			}
		default:
			e = next
		}
		next += step
		run := 1 + rng.Intn(2)*rng.Intn(20)
		for range run {
			s.Entries[g] = e
			g++
		}
	}
	for g := range s.Entries {
		if g*s.Grain >= s.Capacity {
			delete(s.Entries, g)
		}
	}
	return s
}

// RandomVmdk makes dir/name, and the files that it names, backing files too: by qemu-img, or written by this program. It returns the paths of all,
// that of name first.
func RandomVmdk(tb testing.TB, rng *rand.Rand, dir, name string) []string {
	tb.Helper()
	put := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			tb.Fatal(err)
		}
		return path
	}
	switch rng.Intn(4) {
	case 3:
		under := "under-" + name
		top := overVmdk(rng, under)
		paths := []string{put(name, top.Bytes())}
		if rng.Intn(2) == 0 {
			return append(paths, put(under, RandomSparse(rng, "KDMV").Bytes()))
		}
		return append(paths, madeVmdk(tb, rng, dir, under)...)
	case 0:
		return madeVmdk(tb, rng, dir, name)
	}
	return WrittenVmdk(tb, rng, dir, name)
}

// overVmdk is a file whose parent has the given name. What hangs over from one file into the next
// depends on grains of the layer above that no map shows, so a parent must be no text of several
// files.
func overVmdk(rng *rand.Rand, under string) *VmdkSparse {
	top := RandomSparse(rng, "KDMV")
	top.Text += "parentFileNameHint=\"" + under + "\"\n"
	return top
}

// WrittenVmdk is RandomVmdk without help of qemu-img, which makes large files.
func WrittenVmdk(tb testing.TB, rng *rand.Rand, dir, name string) []string {
	tb.Helper()
	put := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			tb.Fatal(err)
		}
		return path
	}
	switch rng.Intn(4) {
	case 0:
		return []string{put(name, RandomSparse(rng, []string{"KDMV", "KDMV", "KDMV", "COWD"}[rng.Intn(4)]).Bytes())}
	case 1:
		under := "under-" + name
		return []string{put(name, overVmdk(rng, under).Bytes()), put(under, RandomSparse(rng, "KDMV").Bytes())}
	}
	var paths []string
	var lines []string
	for i := range rng.Intn(6) {
		file := fmt.Sprintf("%s-%d", strings.ReplaceAll(name, ".", "_"), i)
		kind := []string{"KDMV", "COWD", "SESPARSE", "flat"}[rng.Intn(4)]
		if kind == "flat" {
			paths = append(paths, RandomRaw(tb, rng, dir, file))
		} else {
			s := RandomSparse(rng, kind)
			s.Capacity = max(s.Capacity, 1) // without any, a KDMV holds a text
			paths = append(paths, put(file, s.Bytes()))
		}
		for range 1 + rng.Intn(8)/6 {
			word := map[string][]string{"KDMV": {"SPARSE", "VMFSSPARSE"}, "COWD": {"VMFSSPARSE", "SPARSE"},
				"SESPARSE": {"SESPARSE"}, "flat": {"FLAT", "VMFS"}}[kind]
			line := fmt.Sprintf("RW %d %s \"%s\"", 1+rng.Intn(1<<(1+rng.Intn(12))), word[rng.Intn(len(word))], file)
			if strings.Contains(line, "FLAT") {
				line += fmt.Sprintf(" %d", rng.Intn(10)*rng.Intn(10))
			}
			lines = append(lines, line)
		}
	}
	return append([]string{put(name, []byte(randomText(rng, lines)))}, paths...)
}

// randomText is a descriptor of extents, as orderly as people and programs are.
func randomText(rng *rand.Rand, lines []string) string {
	kinds := []string{"monolithicFlat", "vmfs", "vmfsSparse", "seSparse", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"}
	text := "# Disk DescriptorFile\nversion=1\nCID=123\nparentCID=ffffffff\ncreateType=\"" + kinds[rng.Intn(len(kinds))] + "\"\n"
	for _, l := range lines {
		switch rng.Intn(12) {
		case 0:
			text += "\n"
		case 1:
			text += "  \n\t\n"
		case 2:
			text += "# RW 5 ZERO\n"
		case 3:
			text += []string{"RW 7 ZERO\n", "RDONLY 7 FLAT \"x\" 0\n", "RW 0 FLAT \"x\" 0\n", "RW 9 VMFSRDM \"x\"\n", "RW 1\n"}[rng.Intn(5)]
		case 4:
			l = strings.ReplaceAll(l, " ", []string{"  ", "\t", "\n", " \n "}[rng.Intn(4)])
		case 5:
			l = strings.TrimSuffix(l, `"`)
		case 6:
			l += []string{" 5", "\n6", " x", "\r"}[rng.Intn(4)]
		}
		text += l + "\n"
	}
	text += "\n# DDB\nddb.adapterType = \"ide\"\n"
	if rng.Intn(4) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}

// madeVmdk makes images with qemu-img and gives them a random history.
func madeVmdk(tb testing.TB, rng *rand.Rand, dir, name string) []string {
	tb.Helper()
	sub := []string{"monolithicSparse", "monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"}[rng.Intn(6)]
	options := "subformat=" + sub
	if rng.Intn(3) == 0 && !strings.Contains(sub, "Flat") {
		options += ",zeroed_grain=on"
	}
	if rng.Intn(4) == 0 && sub != "streamOptimized" {
		options += ",compat6=on"
	}
	n := size(rng, 16) / sectorSize * sectorSize
	if strings.HasPrefix(sub, "twoGb") {
		n += int64(rng.Intn(3)) << 31
	}
	if sub == "streamOptimized" {
		RandomRaw(tb, rng, dir, name+".src")
		run(tb, dir, "qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", options, name+".src", name)
	} else {
		run(tb, dir, "qemu-img", "create", "-q", "-f", "vmdk", "-o", options, name, fmt.Sprint(n))
		var commands []string
		for range rng.Intn(12) {
			if n == 0 {
				break
			}
			off := rng.Int63n(n) / sectorSize * sectorSize
			if rng.Intn(3) == 0 && n > 1<<31 {
				off = 1<<31 - 1<<17 + int64(rng.Intn(1<<18))/sectorSize*sectorSize
			}
			length := min(1+rng.Int63n(6<<16), n-off) / sectorSize * sectorSize
			if length <= 0 {
				continue
			}
			commands = append(commands, "-c", []string{"write", "write -z"}[rng.Intn(4)/3]+fmt.Sprintf(" %d %d", off, length))
		}
		if len(commands) > 0 {
			run(tb, dir, "qemu-io", append(append([]string{"-f", "vmdk"}, commands...), name)...)
		}
	}
	all := []string{filepath.Join(dir, name)}
	more, err := filepath.Glob(filepath.Join(dir, strings.TrimSuffix(name, ".vmdk")+"-*"))
	if err != nil {
		tb.Fatal(err)
	}
	return append(all, more...)
}

// CorruptVmdk changes some bytes of a file of a VMDK: characters of a text, fields of a header, entries of tables.
func CorruptVmdk(tb testing.TB, rng *rand.Rand, path string) {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if len(b) == 0 {
		return
	}
	for range 1 + rng.Intn(3) {
		at := rng.Intn(min(len(b), 80))
		switch {
		case len(b) < 4096 && rng.Intn(8) > 0:
			at = rng.Intn(len(b))
			b[at] = "\n \"0RW\x00=\r"[rng.Intn(9)]
			continue
		case rng.Intn(2) == 0:
			at = rng.Intn(min(len(b), 64<<10))
		}
		if string(b[:4]) == "COWD" && at >= 16 && at < 20 {
			continue // qemu may divide by zero
		}
		switch rng.Intn(3) {
		case 0:
			b[at] ^= 1 << rng.Intn(8)
		case 1:
			b[at] = byte(rng.Intn(256))
		case 2:
			b[at] = 0
		}
	}
	if rng.Intn(10) == 0 {
		b = b[:rng.Intn(len(b))]
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		tb.Fatal(err)
	}
}

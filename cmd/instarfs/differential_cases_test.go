package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"instarfs/guest/format/dmg/dmgtest"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/format/vmdk/vmdktest"
)

// hand is an image written by hand that releases of qemu-img treat differently, or that has two
// faults.
type hand struct {
	name  string
	bytes []byte
	want  map[string]said // by release, for the whole image as JSON
}

// said is the result of map for an image: a part of standard output, all of standard error, the
// exit status.
type said struct {
	stdout, stderr string
	status         int
}

// refusal returns the result for an image that is refused.
func refusal(name, why string) said {
	return said{"", "instarfs: Could not open '" + name + "': " + why + "\n", 1}
}

var allReleases = []string{"7.2", "10.0", "11.1"}

// everywhere returns the same result for each release.
func everywhere(s said) map[string]said {
	return map[string]said{"7.2": s, "10.0": s, "11.1": s}
}

// parallelsOf returns an image with clusters of 64 KiB, one for each entry of the BAT, and tail
// bytes after the cluster of the header.
func parallelsOf(bat []uint32, tail int, change func(b []byte)) []byte {
	le := binary.LittleEndian
	b := make([]byte, 65536+tail)
	copy(b, "WithoutFreeSpace")
	le.PutUint32(b[16:], 2)
	le.PutUint32(b[28:], 128)
	le.PutUint32(b[32:], uint32(len(bat)))
	le.PutUint64(b[36:], uint64(128*len(bat)))
	le.PutUint32(b[48:], 128)
	for i, e := range bat {
		le.PutUint32(b[64+4*i:], e)
	}
	change(b)
	return b
}

func magic(s string) func(b []byte) { return func(b []byte) { copy(b, s) } }

func put64(off int, v uint64) func(b []byte) {
	return func(b []byte) { binary.LittleEndian.PutUint64(b[off:], v) }
}

// handDmg returns an image with these chunks.
func handDmg(sectors uint64, chunks ...dmgtest.Chunk) []byte {
	tables := []dmgtest.Table{{Chunks: chunks}}
	return (&dmgtest.Image{Sectors: sectors, Body: 4096, Tables: tables}).Bytes()
}

// handQcow2 returns an image of 1 MiB without data, changed.
func handQcow2(change func(q *qcow2test.Image)) []byte {
	q := qcow2test.New(1<<20, 16)
	q.NoRefcounts = true
	change(q)
	var f formattest.Sparse
	if _, err := q.Write(&f); err != nil {
		panic(err)
	}
	return f.Bytes(0, int(f.Size))
}

func withDataFile(name string) func(q *qcow2test.Image) {
	return func(q *qcow2test.Image) {
		q.Incompatible |= 1 << 2
		q.Extensions = append(q.Extensions,
			qcow2test.Extension{Type: qcow2test.ExtensionDataFile, Data: []byte(name)})
	}
}

func onBase(name, format string) func(q *qcow2test.Image) {
	return func(q *qcow2test.Image) {
		q.Backing = name
		q.Extensions = append(q.Extensions,
			qcow2test.Extension{Type: qcow2test.ExtensionBackingFormat, Data: []byte(format)})
	}
}

// handText returns the descriptor of a VMDK of these extents.
func handText(extents ...string) []byte {
	const head = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n" +
		"createType=\"vmfs\"\n"
	return []byte(head + strings.Join(extents, "\n") + "\n")
}

// hands returns images for which the results of releases of qemu-img once differed from ours.
func hands() []hand {
	const (
		invalid = "Invalid argument"
		lzma    = "instarfs: warning: Image contains chunks of unknown type 80000008, " +
			"accessing them will result in I/O errors\n"
		noSize   = "instarfs: Failed to get size for '"
		noData   = `"present": false, "zero": true, "data": false`
		wraps    = 1<<55 + 8
		big      = "Could not refresh total sector count: File too large"
		noFile   = "No such file or directory"
		catalog  = "Invalid image: Catalog size too small for advertised disk size"
		offset   = "Invalid image: Too big offset"
		assert   = "instarfs: ../../block/parallels-ext.c:287: parallels_read_format_extension: "
		lzmaType = 0x80000008
	)
	unread := dmgtest.Chunk{lzmaType, 0, 8, 0, 100}
	zero := dmgtest.Chunk{0, 0, 8, 0, 0}
	mapped := said{`"start": 131072, "length": 65536, "depth": 0, "present": true`, "", 0}
	gone := said{`{ "start": 65536, "length": 196608, "depth": 0, ` + noData, "", 0}
	only11 := func(s said) map[string]said {
		return map[string]said{"7.2": mapped, "10.0": mapped, "11.1": s}
	}
	dmg10 := func(name string, old said) map[string]said {
		s := refusal(name, "Could not open '"+name+"': "+invalid)
		s.stderr = old.stderr + s.stderr
		return map[string]said{"7.2": old, "10.0": s, "11.1": s}
	}
	dataFile := said{`"data": true`, "", 0}
	warned := said{`"data": true`, lzma, 0}
	nul := &dmgtest.Image{Sectors: 8, Body: 512, Plist: "\x00<data>bWlzaA==</data>"}
	sparse := vmdktest.NewSparse("KDMV", 8, 128)
	sparse.Spoil64(12, wraps)
	over := *sparse
	over.Text += "parentFileNameHint=\"none\"\n"
	return []hand{
		{"inside.hdd", parallelsOf([]uint32{128, 0, 256, 0}, 1<<17, magic("")), everywhere(mapped)},
		{"partial.hdd", parallelsOf([]uint32{128, 0, 256, 0}, 1<<16+512, magic("")), only11(gone)},
		{"at-end.hdd", parallelsOf([]uint32{128, 0, 256, 0}, 1<<16, magic("")), only11(gone)},
		{"beyond.hdd", parallelsOf([]uint32{128, 0, 1152, 0}, 1<<16, magic("")), only11(gone)},
		{"huge.hdd", parallelsOf([]uint32{128, 0, 0xfffffff0, 0}, 1<<16, magic("")), only11(gone)},
		{"in-header.hdd", parallelsOf([]uint32{0, 0, 1, 0}, 1<<16, magic("")), map[string]said{
			"7.2": mapped, "10.0": mapped,
			"11.1": {`"length": 262144, "depth": 0, ` + noData, "", 0}}},
		{"in-clusters.hdd", parallelsOf([]uint32{1, 0, 9, 0}, 1<<16, magic("WithouFreSpacExt")),
			only11(gone)},
		{"twice.hdd", parallelsOf([]uint32{128, 128}, 1<<16, magic("")), nil},
		{"no-data-off.hdd", parallelsOf([]uint32{128, 0, 1152, 0}, 1<<16,
			func(b []byte) { b[48] = 0 }),
			only11(gone)},
		{"catalog.hdd", parallelsOf([]uint32{128, 0}, 1<<16, put64(36, 5*128)), map[string]said{
			"7.2": {"", "", 0}, "10.0": {"", "", 0}, "11.1": refusal("catalog.hdd", catalog)}},
		{"ext-off.hdd", parallelsOf([]uint32{128, 0}, 1<<16, put64(56, 1<<62)), map[string]said{
			"7.2":  {"", assert + "Assertion `ext_off > 0' failed.\n", 134},
			"10.0": refusal("ext-off.hdd", offset), "11.1": refusal("ext-off.hdd", offset)}},
		{"wrap.hdd", parallelsOf(nil, 0, func(b []byte) {
			copy(b, "WithouFreSpacExt")
			put64(36, wraps)(b)
		}), map[string]said{"7.2": {"[", noSize + "wrap.hdd'\n", 1},
			"10.0": {"[", noSize + "wrap.hdd'\n", 1}, "11.1": refusal("wrap.hdd", catalog)}},

		{"unread.dmg", handDmg(8, unread), dmg10("unread.dmg", warned)},
		{"one-read.dmg", handDmg(8, unread, zero), everywhere(warned)},
		{"no-chunks.dmg", handDmg(8), dmg10("no-chunks.dmg", dataFile)},
		{"comment.dmg", handDmg(8, dmgtest.Chunk{0x7ffffffe}), dmg10("comment.dmg", dataFile)},
		{"empty-disk.dmg", handDmg(0, unread, dmgtest.Chunk{0, 8, 8, 0, 0}),
			everywhere(said{`"length": 0`, lzma, 0})},
		{"nul.dmg", nul.Bytes(), dmg10("nul.dmg", dataFile)},
		{"long-raw.dmg", handDmg(8, dmgtest.Chunk{1, 0, 8, 0, 4097}), nil},
		{"refused.dmg", handDmg(8, unread, dmgtest.Chunk{1, 0, 1 << 30, 0, 1}), nil},
		{"wrap.dmg", handDmg(wraps, zero), everywhere(said{"[", noSize + "wrap.dmg'\n", 1})},
		{"big.dmg", handDmg(1<<54, zero), everywhere(refusal("big.dmg", big))},
		{"over.qcow2", handQcow2(onBase("one-read.dmg", "dmg")), everywhere(said{"", lzma, 0})},
		{"over-wrap.qcow2", handQcow2(onBase("wrap.dmg", "dmg")),
			everywhere(said{"[", "instarfs: Could not read file metadata: File too large\n", 1})},
		{"over-big.hdd.qcow2", handQcow2(onBase("terabytes.hdd", "parallels")), nil},
		{"terabytes.hdd", parallelsOf(make([]uint32, 1<<16), 1<<20, put64(36, 3<<21)), nil},

		{"wrap.vmdk", sparse.Bytes(), nil},
		{"wrap-over.vmdk", over.Bytes(), nil},
		{"wrap-text.vmdk", handText(`RW 36028797018963976 VMFS "a.raw"`),
			everywhere(said{"[", noSize + "wrap-text.vmdk'\n", 1})},
		{"wrap.part", sparse.Bytes(), nil},
		{"wrap-part.vmdk", handText(`RW 8 VMFS "a.raw"`, `RW 8 SPARSE "wrap.part"`), nil},
		{"over-wrap-part.qcow2", handQcow2(onBase("wrap-part.vmdk", "vmdk")), nil},
		{"line.vmdk", handText(`RW 8 VMFS "none"`, `RW 8 FLAT "a.raw"`),
			everywhere(refusal("line.vmdk", "Could not open 'none': "+noFile))},
		{"line-first.vmdk", handText(`RW 8 FLAT "a.raw"`, `RW 8 VMFS "none"`),
			everywhere(refusal("line-first.vmdk", `Invalid extent line: RW 8 FLAT "a.raw"`))},

		{"format.qcow2", handQcow2(onBase("none", "qcox2")), everywhere(
			refusal("format.qcow2", "Could not open backing file: Unknown driver 'qcox2'"))},
		{"format-there.qcow2", handQcow2(onBase("a.raw", "qcox2")), everywhere(
			refusal("format-there.qcow2", "Could not open backing file: Unknown driver 'qcox2'"))},
		{"no-name.qcow2", handQcow2(withDataFile("")), everywhere(
			refusal("no-name.qcow2", "The 'file' block driver requires a file name"))},
		{"data-size.qcow2", handQcow2(func(q *qcow2test.Image) {
			withDataFile("none")(q)
			q.Spoil64(qcow2test.OffSize, 1<<63+512)
			q.Spoil32(qcow2test.OffL1Size, 1<<22)
		}), nil},
		{"crypt.qcow2", handQcow2(func(q *qcow2test.Image) {
			withDataFile("none")(q)
			q.Crypt = 1
		}), nil},
	}
}

// TestDifferentialSlices compares images whose fault qemu-img finds ahead of the cluster that
// it maps.
func TestDifferentialSlices(t *testing.T) {
	o := newOracle(t)
	t.Chdir(o.dir)
	for _, s := range qcow2test.Slices {
		var f formattest.Sparse
		if _, err := s.Image().Write(&f); err != nil {
			t.Fatal(err)
		}
		f.WriteFile(t, "image")
		settle(t, "image")
		start, length := s.Start(), s.Length()
		for _, w := range [][2]uint64{
			{0, start + length}, {start + 12345, length}, {start, length - 2*s.Cluster()},
			{start, length - 2*s.Cluster() + 1},
		} {
			args := []string{"--output=json", "-s", fmt.Sprint(w[0]), "-l", fmt.Sprint(w[1]),
				"image"}
			o.compareWith(t, walkedTool(), strings.Join(args, "\x00"))
		}
	}
}

// TestDifferentialCases maps images for which releases of qemu-img differ. It compares with the
// known results of each release, and with the installed ones.
func TestDifferentialCases(t *testing.T) { compareHands(t, hands()) }

func compareHands(t *testing.T, list []hand) {
	t.Helper()
	o := newOracle(t)
	t.Chdir(o.dir)
	for _, h := range list {
		writeSparse(t, h.name, h.bytes)
	}
	for _, h := range list {
		tool := walkedTool()
		for _, release := range allReleases {
			want, known := h.want[release]
			if !known {
				continue
			}
			tool.stdout.Reset()
			tool.stderr.Reset()
			status := tool.run("map", "--qemu-version", release, "--output=json", h.name)
			got := said{tool.stdout.String(), tool.stderr.String(), status}
			if status != want.status || !strings.Contains(got.stdout, want.stdout) ||
				got.stderr != want.stderr {
				t.Errorf("%s, %s: %+v, want %+v", release, h.name, got, want)
			}
		}
		for _, line := range []string{"--output=json", "", "-l0", "-l0 --output=json",
			"-s8k -l70000"} {
			args := append(strings.Fields(line), h.name)
			if err := o.differs(tool, args); err != nil {
				t.Errorf("%s: %v", h.name, err)
			}
		}
	}
}

// TestOwnProfileOfHands maps some of these images in our own profile.
func TestOwnProfileOfHands(t *testing.T) {
	t.Chdir(t.TempDir())
	writeSparse(t, "a.raw", make([]byte, 4096))
	for _, h := range hands() {
		writeSparse(t, h.name, h.bytes)
	}
	const text = "Offset          Length          Mapped to       File\n"
	for name, want := range map[string]said{
		"at-end.hdd":    {"0               0x10000         0x10000         at-end.hdd\n", "", 0},
		"in-header.hdd": {"", "", 0},
		"catalog.hdd":   {"0               0x10000         0x10000         catalog.hdd\n", "", 0},
		"unread.dmg":    {"0               0x1000          compressed      unread.dmg\n", "", 0},
		"wrap.dmg":      {"", "instarfs: map wrap.dmg: SectorCount at offset ", 1},
		"no-name.qcow2": {"", "instarfs: map no-name.qcow2: data file \"\": the name is empty\n",
			1},
	} {
		tool := walkedTool()
		status := tool.run("map", name)
		got := said{tool.stdout.String(), tool.stderr.String(), status}
		if status != want.status || got.stdout != text+want.stdout && status == 0 ||
			!strings.HasPrefix(got.stderr, want.stderr) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	tool := walkedTool()
	tool.run("map", "--output=json", "empty-disk.dmg")
	const last = `"start": 4096, "length": 4096, "depth": 0, "present": true, "zero": true`
	if !strings.Contains(tool.stdout.String(), last) {
		t.Errorf("a dmg that tells no size: %q, %q", tool.stdout.String(), tool.stderr.String())
	}
}

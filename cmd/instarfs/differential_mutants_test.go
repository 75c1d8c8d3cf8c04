package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"instarfs/guest/format/bochs/bochstest"
	"instarfs/guest/format/cloop/clooptest"
	"instarfs/guest/format/dmg/dmgtest"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/luks/lukstest"
	"instarfs/guest/format/parallels/parallelstest"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/format/qemutest"
	"instarfs/guest/format/vdi/vditest"
	"instarfs/guest/format/vhdx/vhdxtest"
	"instarfs/guest/format/vpc/vpctest"
)

// region is a part of a file.
type region = formattest.Region

// mutantsEach is how many mutants are made of each random image.
const mutantsEach = 16

// maxGrowth is more than Mutate makes a file longer, in bytes.
const maxGrowth = 8 << 10

// TestDifferentialMutants is TestDifferential for images with a few changed bits: in headers,
// entries of tables, lengths of files. A failure names the seed; with -artifacts, go test keeps
// the image.
func TestDifferentialMutants(t *testing.T) {
	for _, f := range mutated {
		t.Run(f.name, func(t *testing.T) {
			o := newOracle(t)
			t.Chdir(o.dir)
			n, silent := differences(t), 0
			for seed := range (n + mutantsEach - 1) / mutantsEach {
				t.Chdir(o.dir)
				m := f.make(t, rand.New(rand.NewSource(int64(seed))), o.dir)
				// All are made before the first is mapped, see batch.
				var dirs []string
				var lines [][]string
				for i := range min(n-seed*mutantsEach, mutantsEach) {
					rng := rand.New(rand.NewSource(int64(seed*mutantsEach + i)))
					lines = append(lines, m.next(t, rng))
					dirs = append(dirs, m.setAside(t))
				}
				for i, args := range lines {
					t.Chdir(dirs[i])
					switch err := (&oracle{dirs[i], o.releases}).differs(walkedTool(), args); {
					case errors.Is(err, errNoAnswer):
						silent++
						t.Logf("%d/%d: %v", seed, i, err)
					case err != nil:
						t.Errorf("%d/%d: %v", seed, i, err)
						m.keep(t, fmt.Sprintf("%d-%d", seed, i))
					}
				}
				t.Chdir(o.dir)
				m.remove(t)
			}
			if silent > n/20+1 {
				t.Errorf("qemu-img gave no answer to %d of %d", silent, n)
			}
		})
	}
}

// mutant is an image that is changed many times.
type mutant struct {
	name    string // of the file that is mapped
	changed string // of the file that is changed, the same or one that it refers to
	format  string // given with -f, if probes do not find the format
	bytes   []byte
	scratch []byte // where they are changed
	regions []region
	repair  func(*rand.Rand, []byte) []byte // mostly corrects checksums
}

// next writes another mutant, and returns a command line that maps it.
func (m *mutant) next(t *testing.T, rng *rand.Rand) []string {
	t.Helper()
	m.scratch = append(slices.Grow(m.scratch[:0], len(m.bytes)+maxGrowth), m.bytes...)
	b := formattest.Mutate(rng, m.scratch, m.regions...)
	if m.repair != nil {
		b = m.repair(rng, b)
	}
	writeSparse(t, m.changed, b)
	args := []string{"--output=json"}
	if rng.Intn(3) == 0 {
		args[0] = "--output=human"
	}
	switch rng.Intn(8) {
	case 0:
		args = append(args, "-l0")
	case 1, 2, 3:
		start, length := formattest.RandomWindow(rng, 1<<(9+rng.Intn(24)))
		args = append(args, "-s", fmt.Sprint(start), "-l", fmt.Sprint(length))
	}
	switch {
	case m.format != "":
		args = append(args, "-f", m.format)
	case rng.Intn(12) == 0:
		names := formats()
		args = append(args, "-f", names[rng.Intn(len(names))])
	}
	return append(args, m.name)
}

// writeSparse writes a file whose blocks of zeroes are holes, and syncs it.
func writeSparse(t *testing.T, name string, b []byte) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	put := func(off int64, b []byte) error {
		_, err := f.WriteAt(b, off)
		return err
	}
	err = errors.Join(formattest.WriteSparse(b, put), f.Truncate(int64(len(b))), f.Close())
	if err != nil {
		t.Fatal(err)
	}
	syncAndAge(t, name)
}

// setAside moves the changed file to a directory of its own, with the others beside it.
func (m *mutant) setAside(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		to := filepath.Join(dir, e.Name())
		if e.Name() == m.changed {
			err = os.Rename(e.Name(), to)
		} else {
			err = os.Link(e.Name(), to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// keep saves the changed file among the artifacts of the test.
func (m *mutant) keep(t *testing.T, id string) {
	t.Helper()
	b, err := os.ReadFile(m.changed)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), id+"-"+m.changed), b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// remove removes all files but a.raw.
func (m *mutant) remove(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "a.raw" {
			continue
		}
		if err := os.Remove(e.Name()); err != nil {
			t.Fatal(err)
		}
	}
}

// mutated are the formats, with functions that make an image of each and know where its
// metadata is.
var mutated = []struct {
	name string
	make func(t *testing.T, rng *rand.Rand, dir string) *mutant
}{
	{"raw", func(t *testing.T, rng *rand.Rand, dir string) *mutant {
		qemutest.RandomRaw(t, rng, dir, "image")
		return newMutant(t, rng, "image", region{Len: 600})
	}},
	{"qcow2", mutantQcow2},
	{"qcow", mutantOfTables("qcow", region{Len: 72}, region{Off: 40, Len: 24},
		region{Off: 4096, Len: 6000})},
	{"qed", mutantOfTables("qed", region{Len: 80}, region{Off: 4096, Len: 40000})},
	{"parallels", mutantOfTables("parallels", region{Len: 64}, region{Off: 64, Len: 200})},
	{"parallels-extension", mutantParallelsExtension},
	{"vdi", func(t *testing.T, rng *rand.Rand, dir string) *mutant {
		v := vditest.Random(rng)
		v.Size = uint64(rng.Intn(100 << 20))
		writeSparse(t, "image", append(v.Bytes(), make([]byte, rng.Intn(1<<20))...))
		return newMutant(t, rng, "image", region{Off: 0x40, Len: 0x190},
			region{Off: uint64(v.OffBlocks), Len: uint64(4*len(v.Map)) + 4})
	}},
	{"vmdk", mutantVmdk},
	{"vpc", mutantVpc},
	{"vhdx", mutantVhdx},
	{"luks", func(t *testing.T, rng *rand.Rand, _ string) *mutant {
		writeSparse(t, "image", lukstest.Random(rng))
		m := newMutant(t, rng, "image", region{Len: 208}, region{Off: 208, Len: 384},
			region{Off: 4096, Len: 1000})
		if rng.Intn(3) == 0 {
			m.format = "luks"
		}
		return m
	}},
	{"dmg", mutantDmg},
	{"cloop", func(t *testing.T, rng *rand.Rand, _ string) *mutant {
		writeSparse(t, "image", clooptest.Random(rng))
		return newMutant(t, rng, "image", region{Off: 120, Len: 24},
			region{Off: 136, Len: 4000})
	}},
	{"bochs", func(t *testing.T, rng *rand.Rand, _ string) *mutant {
		writeSparse(t, "image", bochstest.Random(rng))
		return newMutant(t, rng, "image", region{Len: 96}, region{Off: 32, Len: 64},
			region{Off: 512, Len: 240})
	}},
}

// newMutant makes a mutant of a file. Some are the backing file of another image, which may
// hide parts of it.
func newMutant(t *testing.T, rng *rand.Rand, name string, regions ...region) *mutant {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m := &mutant{name: name, changed: name, bytes: b, regions: regions}
	if rng.Intn(6) == 0 {
		m.name = "overlay.qcow2"
		q := qcow2test.New(uint64(rng.Intn(4<<20)), 16)
		q.Backing = name
		for c := range (q.Size + 65535) / 65536 {
			if rng.Intn(3) == 0 {
				q.Sparse(c, 1)
			}
		}
		writeImage(t, m.name, q)
		settle(t, m.name)
	}
	return m
}

func mutantQcow2(t *testing.T, rng *rand.Rand, dir string) *mutant {
	extensions := region{Off: 104, Len: 300}
	if rng.Intn(3) == 0 {
		qemutest.RandomQcow2(t, rng, dir, "image")
		// An image that cannot have one stays unchanged.
		if rng.Intn(2) == 0 {
			_ = exec.Command("qemu-img", "snapshot", "-c", "name", "image").Run()
			_ = exec.Command("qemu-img", "bitmap", "--add", "image", "bits").Run()
		}
		m := newMutant(t, rng, "image", region{Len: 112}, extensions)
		m.regions = append(m.regions, qcow2Directories(m.bytes)...)
		return m
	}
	q := qcow2test.RandomEntries(rng, "data")
	writeSparse(t, "data", make([]byte, rng.Intn(1<<20)))
	if rng.Intn(4) == 0 {
		q.Backing = "a.raw"
		q.Extensions = append(q.Extensions,
			qcow2test.Extension{Type: qcow2test.ExtensionBackingFormat, Data: []byte("raw")})
	}
	writeImage(t, "image", q)
	cluster := q.Cluster()
	return newMutant(t, rng, "image", region{Len: 112}, extensions,
		region{Off: q.L1Offset(), Len: 32},
		region{Off: q.TableOffset(0), Len: min(cluster, 2048)},
		region{Off: q.TableOffset(0), Len: min(cluster, 128)})
}

// qcow2Directories returns the regions of the tables of snapshots and bitmaps, by the header of
// a qcow2.
func qcow2Directories(b []byte) []region {
	at := binary.BigEndian.Uint64(b[qcow2test.OffSnapshotsOffset:])
	all := []region{{Off: at, Len: 200}}
	head := b[:min(len(b), 1024)]
	if i := strings.Index(string(head), "\x23\x85\x28\x75"); i >= 0 && i+32 <= len(head) {
		at := binary.BigEndian.Uint64(head[i+24:])
		all = append(all, region{Off: uint64(i), Len: 32}, region{Off: at, Len: 64})
	}
	return all
}

// mutantParallelsExtension makes images with dirty bitmaps.
func mutantParallelsExtension(t *testing.T, rng *rand.Rand, _ string) *mutant {
	b, ext := parallelstest.RandomExtension(rng)
	writeSparse(t, "image", b)
	m := newMutant(t, rng, "image", region{Len: 64}, region{Off: ext + 24, Len: 160},
		region{Off: ext, Len: 8}, region{Off: ext + 24, Len: 24}, region{Off: ext + 48, Len: 32})
	m.repair = func(rng *rand.Rand, b []byte) []byte {
		if len(b) > 31 {
			b[30], b[31] = b[30]&1, 0 // clusters of no more than 64 MiB: see docs/quirks.md
		}
		if rng.Intn(8) > 0 {
			parallelstest.Sum(b, ext)
		}
		return fewerSectors(rng, b)
	}
	return m
}

// mutantOfTables makes images in one of the formats of qemutest.RandomTables.
func mutantOfTables(format string, regions ...region) func(*testing.T, *rand.Rand, string) *mutant {
	return func(t *testing.T, rng *rand.Rand, dir string) *mutant {
		qemutest.RandomTables(t, rng, dir, "image", format)
		m := newMutant(t, rng, "image", regions...)
		if format == "parallels" {
			m.repair = fewerSectors
		}
		if rng.Intn(4) == 0 && m.name == m.changed {
			m.format = format
		}
		return m
	}
}

// fewerSectors makes the disk of a Parallels image smaller than 2^63 sectors: see
// docs/quirks.md.
func fewerSectors(_ *rand.Rand, b []byte) []byte {
	if len(b) > 43 {
		b[43] &= 0x7f
	}
	return b
}

func mutantVmdk(t *testing.T, rng *rand.Rand, dir string) *mutant {
	paths := qemutest.BuiltVmdk(t, rng, dir, "image.vmdk")
	name := filepath.Base(paths[rng.Intn(len(paths))])
	st, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	m := newMutant(t, rng, name, region{Len: 80}, region{Off: 512, Len: 400},
		region{Off: 21 * 512, Len: 3000})
	if st.Size() < 4096 {
		m.regions = []region{{Len: uint64(st.Size()) + 1}}
	}
	if m.name == name {
		m.name = "image.vmdk"
	}
	m.repair = notLikeQemu
	return m
}

// notLikeQemu undoes changes to a file of a VMDK for which we differ from qemu: see
// docs/quirks.md.
func notLikeQemu(_ *rand.Rand, b []byte) []byte {
	switch head := string(b[:min(len(b), 4)]); {
	case head == "KDMV":
	case head == "COWD" && len(b) >= 20:
		grain := binary.LittleEndian.Uint32(b[16:])
		if grain == 0 || grain >= 1<<20 { // qemu divides by zero, or counts in 32 bits
			binary.LittleEndian.PutUint32(b[16:], 128)
		}
	case strings.Contains(string(b), "createType") && len(b) < 4096:
		return b[:min(len(b), 1024)] // qemu looks for footers of extents where this file ends
	}
	return b
}

func mutantVpc(t *testing.T, rng *rand.Rand, _ string) *mutant {
	v := vpctest.Random(rng, vpctest.Dynamic)
	b := v.Bytes()
	footer := 0
	format := ""
	if rng.Intn(4) == 0 {
		v.Type = vpctest.Fixed
		b = append(make([]byte, v.Size), v.Bytes()...)
		footer, format = int(v.Size), "vpc"
	}
	writeSparse(t, "image", b)
	m := newMutant(t, rng, "image", region{Off: uint64(footer), Len: 68},
		region{Off: 512, Len: 48},
		region{Off: vpctest.Table, Len: uint64(4*len(v.Table)) + 1})
	if m.name == m.changed {
		m.format = format
	}
	m.repair = func(rng *rand.Rand, b []byte) []byte {
		if len(b) >= footer+512 && rng.Intn(5) > 0 {
			vpctest.Sum(b[footer : footer+512])
		}
		return b
	}
	return m
}

func mutantVhdx(t *testing.T, rng *rand.Rand, dir string) *mutant {
	qemutest.RandomVhdx(t, rng, dir, "image")
	m := newMutant(t, rng, "image", region{Off: vhdxtest.Header1, Len: 80},
		region{Off: vhdxtest.Header2, Len: 80},
		region{Off: vhdxtest.Regions, Len: 80}, region{Off: 2 << 20, Len: 200},
		region{Off: 3 << 20, Len: 200}, region{Off: 2<<20 + 64<<10, Len: 48})
	sums := map[int]int{ // offset and length of structures with a checksum
		vhdxtest.Header1: 4096, vhdxtest.Header2: 4096, vhdxtest.Regions: 64 << 10,
	}
	m.repair = func(rng *rand.Rand, b []byte) []byte {
		for off, n := range sums {
			if len(b) >= off+n && rng.Intn(8) > 0 {
				vhdxtest.Sum(b[off : off+n])
			}
		}
		return b
	}
	return m
}

func mutantDmg(t *testing.T, rng *rand.Rand, _ string) *mutant {
	d := dmgtest.Random(rng)
	d.Body = rng.Intn(2000)
	d.DataFork = min(d.DataFork, uint64(d.Body))
	for _, tab := range d.Tables {
		if i := rng.Intn(len(tab.Chunks)); rng.Intn(6) == 0 {
			tab.Chunks[i][rng.Intn(5)] = rng.Uint64() >> rng.Intn(64)
		}
	}
	b := d.Bytes()
	writeSparse(t, "image.dmg", b)
	body, end := uint64(d.Body), uint64(len(b))
	return newMutant(t, rng, "image.dmg", region{Off: body, Len: end - 512 - body},
		region{Off: body, Len: 300}, region{Off: end - 512, Len: 4},
		region{Off: end - 512 + 0x18, Len: 0x1c}, region{Off: end - 512 + 0xd8, Len: 16},
		region{Off: end - 512 + 0x1ec, Len: 8})
}

package formattest

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Tool finds a program that a test needs, and fails the test with the package to install when it is missing.
func Tool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Fatalf("%s is missing: install the package qemu-utils", name)
	}
	return path
}

// run runs a tool in dir and fails the test when the tool fails.
func run(tb testing.TB, dir, name string, args ...string) {
	tb.Helper()
	cmd := exec.Command(Tool(tb, name), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// size is a virtual size that is a multiple of nothing in particular: mostly small, sometimes large.
func size(rng *rand.Rand, clusterBits uint) int64 {
	clusters := int64(rng.Intn(80))
	if rng.Intn(8) == 0 {
		clusters = int64(rng.Intn(1 << 14))
	}
	n := clusters<<clusterBits + int64(rng.Intn(1<<clusterBits))
	return min(n, 512<<20)
}

// RandomQcow2 makes dir/name with qemu-img and qemu-io: any cluster size, version, refcount width and kind of cluster. Some
// are truncated afterwards. It returns the path.
func RandomQcow2(tb testing.TB, rng *rand.Rand, dir, name string) string {
	tb.Helper()
	clusterBits := uint(9 + rng.Intn(13))
	options := []string{fmt.Sprintf("cluster_size=%d", 1<<clusterBits)}
	extended, v2 := false, rng.Intn(4) == 0
	if v2 {
		options = append(options, "compat=0.10")
	} else {
		if clusterBits >= 14 && rng.Intn(3) == 0 {
			extended = true
			options = append(options, "extended_l2=on")
		}
		options = append(options, fmt.Sprintf("refcount_bits=%d", 1<<rng.Intn(7)))
		if rng.Intn(4) == 0 {
			options = append(options, "lazy_refcounts=on")
		}
		if rng.Intn(3) == 0 {
			options = append(options, "compression_type=zstd")
		}
	}
	n := size(rng, clusterBits)
	switch rng.Intn(8) {
	case 0:
		options = append(options, "preallocation=metadata")
	case 1:
		options = append(options, "preallocation=falloc")
		n = min(n, 8<<20)
	case 2:
		options = append(options, "preallocation=full")
		n = min(n, 8<<20)
	}
	run(tb, dir, "qemu-img", "create", "-q", "-f", "qcow2", "-o", strings.Join(options, ","), name, fmt.Sprint(n))
	path := filepath.Join(dir, name)
	write(tb, rng, dir, name, n, 1<<clusterBits, extended)
	if rng.Intn(10) == 0 {
		truncate(tb, rng, path)
	}
	return path
}

// write gives the image a random history.
func write(tb testing.TB, rng *rand.Rand, dir, name string, n, cluster int64, extended bool) {
	tb.Helper()
	if n < 512 {
		return
	}
	unit := cluster
	if extended {
		unit /= 32
	}
	var args []string
	for range rng.Intn(24) {
		off := rng.Int63n(n) / 512 * 512
		length := min(1+rng.Int63n(6*unit), n-off)
		if rng.Intn(3) > 0 { // whole units
			off = off / unit * unit
			length = min((length+unit-1)/unit*unit, n-off)
		}
		length = length / 512 * 512
		if length == 0 {
			continue
		}
		length = min(length, 4<<20)
		var cmd string
		switch rng.Intn(6) {
		case 0, 1, 2:
			cmd = fmt.Sprintf("write -P %d %d %d", rng.Intn(256), off, length)
		case 3:
			cmd = fmt.Sprintf("write -z %d %d", off, length)
		case 4:
			cmd = fmt.Sprintf("discard %d %d", off, length)
		case 5:
			off = off / cluster * cluster
			if off+cluster > n {
				continue
			}
			cmd = fmt.Sprintf("write -c -P %d %d %d", rng.Intn(256), off, cluster)
		}
		args = append(args, "-c", cmd)
	}
	if len(args) == 0 {
		return
	}
	// qemu-io fails when one command does, and writing compressed over data may; the image is as good as before.
	args = append([]string{"-f", "qcow2", "-d", "unmap"}, append(args, name)...)
	cmd := exec.Command(Tool(tb, "qemu-io"), args...)
	cmd.Dir = dir
	_ = cmd.Run()
}

// truncate cuts a random part off the end of a file.
func truncate(tb testing.TB, rng *rand.Rand, path string) {
	tb.Helper()
	st, err := os.Stat(path)
	if err != nil {
		tb.Fatal(err)
	}
	if st.Size() <= 4096 {
		return
	}
	if err := os.Truncate(path, 4096+rng.Int63n(st.Size()-4096)); err != nil {
		tb.Fatal(err)
	}
}

// RandomRaw makes dir/name: data and holes, of a size that is a multiple of nothing. It returns the path.
func RandomRaw(tb testing.TB, rng *rand.Rand, dir, name string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	n := int64(rng.Intn(1 << (4 + rng.Intn(20))))
	if err := f.Truncate(n); err != nil {
		tb.Fatal(err)
	}
	for range rng.Intn(8) {
		if n == 0 {
			break
		}
		off := rng.Int63n(n)
		b := make([]byte, min(1+rng.Int63n(3<<13), n-off))
		rng.Read(b)
		if _, err := f.WriteAt(b, off); err != nil {
			tb.Fatal(err)
		}
	}
	return path
}

// RandomWindow chooses what of a disk of size bytes to ask for, as -s and -l of qemu-img map: anything from one byte to all
// of it, now and then nothing, or more than there is.
func RandomWindow(rng *rand.Rand, size uint64) (start, length uint64) {
	start = uint64(rng.Int63n(int64(size) + 1))
	length = uint64(rng.Int63n(int64(size-start)+2)) + 1
	switch rng.Intn(8) {
	case 0:
		length = uint64(rng.Intn(3))
	case 1:
		start = 0
	case 2:
		start = start / 512 * 512
	case 3:
		length += 1 << 20
	}
	return start, length
}

// Corrupt changes random fields of a valid qcow2 image: mostly L1 and L2 entries and bitmaps, sometimes the refcount table,
// seldom the header.
func Corrupt(tb testing.TB, rng *rand.Rand, path string) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	c := corrupter{tb, rng, f}
	clusterBits := uint(c.get(OffClusterBits) >> 32)
	l1, entries := c.get(OffL1TableOffset), c.get(OffL1Size)>>32
	cluster := uint64(1) << clusterBits
	extended := c.get(OffVersion)>>32 >= 3 && c.get(OffIncompatible)&(1<<4) != 0
	for range 1 + rng.Intn(6) {
		kind := rng.Intn(20)
		if kind == 0 {
			c.mangle(uint64(rng.Intn(HeaderLength)) &^ 3)
			continue
		}
		if kind == 1 {
			c.mangle(c.get(OffRefcountTableOffset) + uint64(rng.Intn(4))*8)
			continue
		}
		if entries == 0 {
			continue
		}
		slot := l1 + uint64(rng.Intn(int(min(entries, 64))))*8
		if kind == 2 {
			c.mangle(slot)
			continue
		}
		table := c.get(slot) & 0x00fffffffffffe00
		if table == 0 || table%cluster != 0 {
			continue
		}
		at := table + uint64(rng.Intn(int(min(cluster, 2048))))&^7
		if extended && rng.Intn(3) > 0 {
			at |= 8 // a bitmap
		}
		c.mangle(at)
	}
}

type corrupter struct {
	tb  testing.TB
	rng *rand.Rand
	f   *os.File
}

func (c corrupter) get(off uint64) uint64 {
	var b [8]byte
	c.f.ReadAt(b[:], int64(off)) // what is behind the end is zero
	return binary.BigEndian.Uint64(b[:])
}

// mangle changes the 8 bytes at off in one of the ways that tables go wrong.
func (c corrupter) mangle(off uint64) {
	if off > 1<<40 {
		return // a field that was spoilt already points there
	}
	v := c.get(off)
	switch c.rng.Intn(7) {
	case 0:
		v ^= 1 << c.rng.Intn(64)
	case 1:
		v |= 1
	case 2:
		v ^= 0x200 << c.rng.Intn(12)
	case 3:
		v = 0
	case 4:
		v |= EntryCompressed
	case 5:
		v = c.rng.Uint64()
	case 6:
		v |= v >> 32 // a bitmap of which both halves say something
	}
	if _, err := c.f.WriteAt(binary.BigEndian.AppendUint64(nil, v), int64(off)); err != nil {
		c.tb.Fatal(err)
	}
}

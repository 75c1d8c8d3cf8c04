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

// RandomTables makes dir/name in one of the formats whose map is no more than a table or two: "qcow", "qed" or "parallels". Some are
// made by qemu-img and qemu-io, others are full of entries that no writer would make, which is what crafted says.
func RandomTables(tb testing.TB, rng *rand.Rand, dir, name, format string) (crafted bool) {
	tb.Helper()
	if rng.Intn(2) == 0 {
		craft := map[string]func(*rand.Rand) []byte{"qcow": RandomQcow, "qed": RandomQed, "parallels": RandomParallels}[format]
		if err := os.WriteFile(filepath.Join(dir, name), craft(rng), 0o666); err != nil {
			tb.Fatal(err)
		}
		return true
	}
	n := int64(rng.Intn(1 << (10 + rng.Intn(16))))
	cluster := int64(4096)
	var options []string
	switch format {
	case "qcow":
		n = max(n, 2)
		if rng.Intn(4) == 0 {
			n = int64(2 + rng.Intn(3000))
		}
	case "qed":
		cluster = 4096 << rng.Intn(6)
		options = []string{"-o", fmt.Sprintf("cluster_size=%d,table_size=%d", cluster, 1<<rng.Intn(5))}
		n = n &^ 511
	case "parallels":
		cluster = 512 << rng.Intn(12)
		options = []string{"-o", fmt.Sprintf("cluster_size=%d", cluster)}
	}
	args := append([]string{"create", "-q", "-f", format}, options...)
	if cmd := exec.Command(Tool(tb, "qemu-img"), append(args, name, fmt.Sprint(n))...); true {
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("qemu-img %s %d: %v: %s", strings.Join(args, " "), n, err, out)
		}
	}
	writeAny(tb, rng, dir, name, format, n, cluster)
	return false
}

// writeAny gives an image a random history. What the format cannot do changes nothing.
func writeAny(tb testing.TB, rng *rand.Rand, dir, name, format string, n, cluster int64) {
	tb.Helper()
	args := []string{"-f", format, "-d", "unmap"}
	for range rng.Intn(12) {
		if n < 1024 {
			break
		}
		off := rng.Int63n(n) / 512 * 512
		length := min(1+rng.Int63n(6*cluster), n-off, 1<<20)
		switch rng.Intn(6) {
		case 0:
			args = append(args, "-c", fmt.Sprintf("write -z %d %d", off/cluster*cluster, cluster))
		case 1:
			args = append(args, "-c", fmt.Sprintf("discard %d %d", off/cluster*cluster, cluster))
		case 2:
			args = append(args, "-c", fmt.Sprintf("write -c -P 3 %d %d", off/cluster*cluster, cluster))
		default:
			args = append(args, "-c", fmt.Sprintf("write -P %d %d %d", rng.Intn(256), off, length/512*512))
		}
	}
	cmd := exec.Command(Tool(tb, "qemu-io"), append(args, name)...)
	cmd.Dir = dir
	_ = cmd.Run()
}

// Garble overwrites some bytes at the start of a file, or cuts it.
func Garble(tb testing.TB, rng *rand.Rand, path string, start int64) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	for range 1 + rng.Intn(3) {
		b := []byte{byte(rng.Intn(256))}
		if rng.Intn(3) == 0 {
			b = []byte{0xff, 0xff, 0xff, 0xff}
		}
		if _, err := f.WriteAt(b, rng.Int63n(start)); err != nil {
			tb.Fatal(err)
		}
	}
	if rng.Intn(4) == 0 && st.Size() > start {
		if err := f.Truncate(start + rng.Int63n(st.Size()-start)); err != nil {
			tb.Fatal(err)
		}
	}
}

// number is one of any size.
func number(rng *rand.Rand) uint64 { return rng.Uint64() >> rng.Intn(64) }

// RandomQcow is an image of version 1 full of entries of every kind.
func RandomQcow(rng *rand.Rand) []byte {
	be := binary.BigEndian
	clusterBits, l2Bits := uint(9+rng.Intn(8)), uint(6+rng.Intn(8))
	reach := uint64(1) << (clusterBits + l2Bits)
	l1 := uint64(1 + rng.Intn(4))
	size := l1*reach - uint64(rng.Int63n(int64(reach)))
	tables := 4096 + l1*8
	b := make([]byte, tables+l1<<(l2Bits+3)+uint64(rng.Intn(2000)))
	copy(b, "QFI\xfb\x00\x00\x00\x01")
	be.PutUint64(b[24:], max(size, 2))
	b[32], b[33] = byte(clusterBits), byte(l2Bits)
	be.PutUint64(b[40:], 4096)
	for i := range l1 {
		table := tables + i<<(l2Bits+3)
		switch rng.Intn(12) {
		case 0:
		case 1:
			be.PutUint64(b[4096+i*8:], number(rng))
		default:
			be.PutUint64(b[4096+i*8:], table)
		}
		for at := table; at < table+1<<(l2Bits+3); {
			kind, entry := rng.Intn(5), number(rng)&^(1<<63)>>rng.Intn(30)
			for range 1 + rng.Intn(20) {
				if at >= table+1<<(l2Bits+3) {
					break
				}
				switch kind {
				case 0:
					be.PutUint64(b[at:], 0)
				case 1:
					be.PutUint64(b[at:], entry|1<<63)
				case 2:
					be.PutUint64(b[at:], entry)
				default:
					entry = entry&^(1<<clusterBits-1) + 1<<clusterBits
					be.PutUint64(b[at:], entry&^(1<<63))
				}
				at += 8
			}
		}
	}
	return b
}

// RandomQed is a QED image full of entries of every kind.
func RandomQed(rng *rand.Rand) []byte {
	le := binary.LittleEndian
	cluster, tableSize := uint64(4096)<<rng.Intn(3), uint64(2)<<rng.Intn(2)
	entries := cluster * tableSize / 8
	l1 := uint64(1 + rng.Intn(3))
	size := (l1*entries*cluster - uint64(rng.Int63n(int64(entries*cluster)))) &^ 511
	b := make([]byte, cluster*(1+tableSize*(1+l1))+uint64(rng.Intn(100000)))
	copy(b, "QED\x00")
	le.PutUint32(b[4:], uint32(cluster))
	le.PutUint32(b[8:], uint32(tableSize))
	le.PutUint32(b[12:], 1)
	le.PutUint64(b[40:], cluster)
	le.PutUint64(b[48:], size)
	wrong := []int{0, 0, 50, 1000}[rng.Intn(4)]
	for i := range l1 {
		table := cluster * (1 + tableSize*(1+i))
		if rng.Intn(5) > 0 {
			le.PutUint64(b[cluster+i*8:], table)
		}
		if wrong > 0 && rng.Intn(4) == 0 {
			le.PutUint64(b[cluster+i*8:], table+uint64(rng.Intn(1<<16)))
		}
		for at := table; at < table+cluster*tableSize; {
			kind, entry := rng.Intn(4), cluster*uint64(1+rng.Intn(len(b)/int(cluster)))
			for range 1 + rng.Intn(40) {
				if at >= table+cluster*tableSize {
					break
				}
				switch {
				case wrong > 0 && rng.Intn(wrong) == 0:
					le.PutUint64(b[at:], number(rng))
				case kind < 2:
					le.PutUint64(b[at:], uint64(kind))
				case entry < uint64(len(b))&^(cluster-1):
					le.PutUint64(b[at:], entry)
					entry += cluster
				}
				at += 8
			}
		}
	}
	return b
}

// RandomParallels is an image full of entries of every kind.
func RandomParallels(rng *rand.Rand) []byte {
	le := binary.LittleEndian
	tracks := uint32(1 + rng.Intn(300))
	entries := uint32(rng.Intn(500))
	b := make([]byte, 64+4*entries+uint32(rng.Intn(2000)))
	copy(b, []string{"WithoutFreeSpace", "WithouFreSpacExt"}[rng.Intn(2)])
	le.PutUint32(b[16:], 2)
	le.PutUint32(b[28:], tracks)
	le.PutUint32(b[32:], entries)
	le.PutUint64(b[36:], uint64(tracks)*uint64(entries)+uint64(rng.Intn(1000)))
	if rng.Intn(8) == 0 {
		le.PutUint64(b[36:], number(rng)>>9)
	}
	unit := tracks
	if b[14] == 'x' {
		unit = 1
	}
	for i := uint32(0); i < entries; {
		kind, entry := rng.Intn(3), uint32(number(rng))
		for range 1 + rng.Intn(20) {
			if i >= entries {
				break
			}
			switch kind {
			case 1:
				le.PutUint32(b[64+4*i:], entry)
				entry += unit
			case 2:
				le.PutUint32(b[64+4*i:], uint32(number(rng)))
			}
			i++
		}
	}
	return b
}

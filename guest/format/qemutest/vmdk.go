package qemutest

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"instarfs/guest/format/vmdk/vmdktest"
)

// RandomVmdk makes dir/name and the files that it refers to, with qemu-img or with package
// vmdktest. It returns the paths of all files, that of name first.
func RandomVmdk(tb testing.TB, rng *rand.Rand, dir, name string) []string {
	tb.Helper()
	switch rng.Intn(4) {
	case 3:
		under := "under-" + name
		top := vmdktest.RandomOver(rng, under)
		paths := []string{put(tb, dir, name, top.Bytes())}
		if rng.Intn(2) == 0 {
			return append(paths, put(tb, dir, under, vmdktest.RandomSparse(rng, "KDMV").Bytes()))
		}
		return append(paths, madeVmdk(tb, rng, dir, under)...)
	case 0:
		return madeVmdk(tb, rng, dir, name)
	}
	return BuiltVmdk(tb, rng, dir, name)
}

// put writes dir/name and returns its path.
func put(tb testing.TB, dir, name string, b []byte) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

// BuiltVmdk is RandomVmdk with package vmdktest alone: files made by qemu-img are large.
func BuiltVmdk(tb testing.TB, rng *rand.Rand, dir, name string) []string {
	tb.Helper()
	switch rng.Intn(4) {
	case 0:
		kind := []string{"KDMV", "KDMV", "KDMV", "COWD"}[rng.Intn(4)]
		return []string{put(tb, dir, name, vmdktest.RandomSparse(rng, kind).Bytes())}
	case 1:
		under := "under-" + name
		return []string{put(tb, dir, name, vmdktest.RandomOver(rng, under).Bytes()),
			put(tb, dir, under, vmdktest.RandomSparse(rng, "KDMV").Bytes())}
	}
	var paths []string
	var lines []string
	for i := range rng.Intn(6) {
		file := fmt.Sprintf("%s-%d", strings.ReplaceAll(name, ".", "_"), i)
		kind := []string{"KDMV", "COWD", "SESPARSE", "flat"}[rng.Intn(4)]
		if kind == "flat" {
			paths = append(paths, RandomRaw(tb, rng, dir, file))
		} else {
			s := vmdktest.RandomSparse(rng, kind)
			s.Capacity = max(s.Capacity, 1) // a KDMV of no sectors holds a descriptor
			paths = append(paths, put(tb, dir, file, s.Bytes()))
		}
		for range 1 + rng.Intn(8)/6 {
			words := map[string][]string{
				"KDMV": {"SPARSE", "VMFSSPARSE"}, "COWD": {"VMFSSPARSE", "SPARSE"},
				"SESPARSE": {"SESPARSE"}, "flat": {"FLAT", "VMFS"},
			}[kind]
			line := fmt.Sprintf("RW %d %s \"%s\"", 1+rng.Intn(1<<(1+rng.Intn(12))),
				words[rng.Intn(len(words))], file)
			if strings.Contains(line, "FLAT") {
				line += fmt.Sprintf(" %d", rng.Intn(10)*rng.Intn(10))
			}
			lines = append(lines, line)
		}
	}
	return append([]string{put(tb, dir, name, []byte(vmdktest.RandomText(rng, lines)))}, paths...)
}

// madeVmdk makes images with qemu-img, and writes to them.
func madeVmdk(tb testing.TB, rng *rand.Rand, dir, name string) []string {
	tb.Helper()
	sub := []string{"monolithicSparse", "monolithicSparse", "monolithicFlat",
		"twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"}[rng.Intn(6)]
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
		run(tb, dir, "qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", options,
			name+".src", name)
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
			verb := []string{"write", "write -z"}[rng.Intn(4)/3]
			commands = append(commands, "-c", fmt.Sprintf("%s %d %d", verb, off, length))
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

// CorruptVmdk changes a few bytes of a file of a VMDK: of a descriptor, of a header or of tables.
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

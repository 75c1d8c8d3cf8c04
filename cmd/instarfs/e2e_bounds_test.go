package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// amplified is a qcow2 of less than 1 MiB whose map has tables*8192 extents, data and zeroes in
// turn: all entries of its first table lead to the same second one.
func amplified(t *testing.T, name string, tables int) {
	t.Helper()
	be := binary.BigEndian
	const cluster, entries = 1 << 16, 1 << 13
	header := make([]byte, 104)
	copy(header, "QFI\xfb\x00\x00\x00\x03")
	be.PutUint32(header[20:], 16)
	be.PutUint64(header[24:], uint64(tables)*entries*cluster)
	be.PutUint32(header[36:], uint32(tables))
	be.PutUint64(header[40:], 2*cluster) // the first table
	be.PutUint64(header[48:], cluster)   // the table of reference counts
	be.PutUint32(header[56:], 1)
	be.PutUint32(header[96:], 4)
	be.PutUint32(header[100:], 104)
	const copied = 1 << 63
	first, second := make([]byte, 8*tables), make([]byte, cluster)
	for i := range tables {
		be.PutUint64(first[8*i:], copied|16*cluster)
	}
	for i := 0; i < entries; i += 2 {
		be.PutUint64(second[8*i:], copied|17*cluster)
	}
	writeAt(t, name, map[int64]string{
		0: string(header), 2 * cluster: string(first), 16 * cluster: string(second),
		18*cluster - 1: "\x00", // the end of what all data entries lead to
	})
}

// program builds the program as users have it: the race detector takes several times the memory.
func program(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "instarfs")
	cmd := exec.Command("go", "build", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

// peak is the most memory that a process has had, MiB.
func peak(t *testing.T, pid int) (mib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscanf(rest, "%d kB", &mib); err != nil {
		t.Fatal(err)
	}
	return mib >> 10
}

// Maps take no more memory than they may in all, whoever holds them open, and a mount whose memory
// is used up serves what is small.
func TestMountMemory(t *testing.T) {
	source, dir := smallSource(t), t.TempDir()
	image := filepath.Join(source, "large.qcow2")
	amplified(t, image, 128) // a million extents, 20 MiB
	s := serveBy(t, exec.Command(program(t), "mount", "--memory", "128M", source, dir), source, dir)
	var held []*os.File
	refused := 0
	for i := range 7 {
		// Another generation, and one that is old enough to be read at once.
		then := time.Now().Add(time.Duration(i-100) * time.Hour)
		if err := os.Chtimes(image, then, then); err != nil {
			t.Fatal(err)
		}
		switch f, err := os.Open(filepath.Join(dir, "large.qcow2.map.json")); {
		case err == nil:
			held = append(held, f)
		case errors.Is(err, syscall.ENOMEM):
			refused++
		default:
			t.Error(err)
		}
	}
	if len(held) < 1 || refused < 2 {
		t.Errorf("%d maps are open, %d were refused", len(held), refused)
	}
	why := s.read("large.qcow2.map.err")
	if !strings.Contains(why, "--memory") {
		t.Errorf("the reason is %q", why)
	}
	if s.read("a.qcow2.map.json") == "" {
		t.Error("an empty map")
	}
	if mib := peak(t, s.cmd.Process.Pid); mib > 128+64 {
		t.Errorf("%d MiB were used, 128 are allowed", mib)
	}
	for _, f := range held {
		f.Close()
	}
	// What was held is free again as soon as the kernel has told so.
	await(t, "the map can be opened again", func() bool {
		f, err := os.Open(filepath.Join(dir, "large.qcow2.map.json"))
		if err == nil {
			f.Close()
		}
		return err == nil
	})
}

// Images made to waste time do not hold up good ones, and a limit ends each of them.
func TestMountFairness(t *testing.T) {
	source, dir := smallSource(t), t.TempDir()
	const hostile = 8
	for i := range hostile {
		// 512 Mi extents
		amplified(t, filepath.Join(source, fmt.Sprintf("hostile%d.qcow2", i)), 1<<16)
	}
	mount := child(realChild, "mount", "--guest-time", "2", "--memory", "256M", source, dir)
	s := serveBy(t, mount, source, dir)
	var readers sync.WaitGroup
	ended := make(chan time.Time, hostile)
	for i := range hostile {
		readers.Go(func() {
			_, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("hostile%d.qcow2.map.json", i)))
			switch {
			case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, syscall.EFBIG):
			case errors.Is(err, syscall.ENOMEM):
			default:
				t.Error(err)
			}
			ended <- time.Now()
		})
	}
	time.Sleep(500 * time.Millisecond)
	for i := range 5 {
		then := time.Now().Add(time.Duration(i-100) * time.Hour)
		if err := os.Chtimes(filepath.Join(source, "a.qcow2"), then, then); err != nil {
			t.Fatal(err)
		}
		if s.read("a.qcow2.map.json") == "" {
			t.Error("an empty map")
		}
	}
	served := time.Now()
	readers.Wait()
	close(ended)
	late := 0
	for at := range ended {
		if at.After(served) {
			late++
		}
	}
	// Served after one another they would take many seconds before the first good one.
	if late == 0 {
		t.Error("the good image was served after all hostile ones")
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"instarfs/cmd/instarfs/mirror"
	"instarfs/needs"
)

// TestMountOfSplitDisks: disks in several files, and over each other, are in a mount what they are
// to qemu-img; each file is mapped once, and when one of them changes the disk's map is new.
func TestMountOfSplitDisks(t *testing.T) {
	needs.Qemu(t)
	source, dir := t.TempDir(), t.TempDir()
	out := bash(t, `set -e; cd $S; qemu-io() { command qemu-io "$@" >/dev/null; }
		qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse split.vmdk 5G; qemu-io -f vmdk -c "write 2047M 2M" split.vmdk
		qemu-img create -q -f vmdk -o subformat=monolithicFlat flat.vmdk 8M; qemu-io -f vmdk -c "write 1M 1M" flat.vmdk
		qemu-img create -q -f vmdk -b split.vmdk -F vmdk over.vmdk; qemu-io -f vmdk -c "write 0 64k" over.vmdk
		qemu-img create -q -f qcow2 -b flat.vmdk -F vmdk over.qcow2; qemu-io -f qcow2 -c "write 4M 64k" over.qcow2
		qemu-img create -q -f vdi disk.vdi 4M; qemu-io -f vdi -c "write 1M 64k" disk.vdi
		qemu-img create -q -f vpc disk.vhd 4M; qemu-io -f vpc -c "write 1M 64k" disk.vhd`, "S="+source)
	if out != "" {
		t.Fatal(out)
	}
	settleAll(t, source)
	c := &counted{Pool: walkedGuests{}}
	mountOn(t, c, mountOptions{Options: mirror.Options{
		Source: source, Mountpoint: dir, CacheBytes: defaultCacheBytes,
		Log: func(line string) { t.Errorf("log: %s", line) }}})
	images := []string{"split.vmdk", "flat.vmdk", "over.vmdk", "over.qcow2", "disk.vdi", "disk.vhd"}
	same := func() {
		t.Helper()
		for _, name := range images {
			for _, v := range []string{"human txt", "json json"} {
				output, suffix, _ := strings.Cut(v, " ")
				want, err := exec.Command("qemu-img", "map", "--output="+output,
					filepath.Join(source, name)).Output()
				if err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(filepath.Join(dir, name+".map."+suffix))
				if plain := strings.ReplaceAll(string(got), `, "compressed": false`,
					""); err != nil || plain != string(want) {
					t.Errorf("%s as %s: %v\n%s\nwant\n%s", name, output, err, got, want)
				}
			}
		}
	}
	// The directory is mapped ahead, so every file in it may have a run, as an image and as a part
	// of one.
	await(t, "all is known, so that nothing needs a run", func() bool {
		before := c.runs.Load()
		same()
		return c.runs.Load() == before
	})
	if out := bash(t,
		`qemu-io -f vmdk -c "write 4G 64k" $S/split.vmdk && qemu-io -f vmdk -c "write 2M 64k" $S/flat.vmdk`, "S="+source); strings.Contains(out, "exit") {
		t.Fatal(out)
	}
	settleAll(t, source)
	time.Sleep(50 * time.Millisecond)
	same()
}

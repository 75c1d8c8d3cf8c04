// Package examples_test runs the examples against a mount of the real program.
package examples_test

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"instarfs/needs"
)

// program and reader are the real program and the example in Go.
var program, reader string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "instarfs-examples-")
	if err != nil {
		log.Fatal(err)
	}
	program, reader = filepath.Join(dir, "instarfs"), filepath.Join(dir, "reader")
	for to, from := range map[string]string{program: "../cmd/instarfs", reader: "./reader"} {
		build := exec.Command("go", "build", "-o", to, from)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			log.Fatalf("build %s: %v\n%s", from, err, out)
		}
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// shop is a mounted directory of images, and room for copies.
type shop struct {
	t                     *testing.T
	images, mount, work   string
	program, fromExamples string
}

// open builds the program and mounts a directory with a base, an overlay and a compressed image.
func open(t *testing.T) *shop {
	t.Helper()
	for program, pkg := range map[string]string{"qemu-img": "qemu-utils", "fusermount3": "fuse3",
		"jq": "jq", "python3": "python3", "rsync": "rsync", "borg": "borgbackup",
		"restic": "restic"} {
		needs.Program(t, program, pkg)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, images: t.TempDir(), mount: t.TempDir(), work: t.TempDir(),
		fromExamples: here}
	s.program = program
	s.run(`cd $IMAGES
		qemu-img create -q -f qcow2 base.qcow2 4M; qemu-io -f qcow2 -c 'write -P 7 1M 128k' base.qcow2 >/dev/null
		qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 disk.qcow2 4M
		qemu-io -f qcow2 -c 'write -P 9 2M 64k' -c 'write -z 3M 64k' disk.qcow2 >/dev/null
		qemu-img create -q -f qcow2 alone.qcow2 4M; qemu-io -f qcow2 -c 'write -P 5 512k 192k' alone.qcow2 >/dev/null
		touch -d '10 minutes ago' *; sleep 0.1; touch .settled`)
	s.run("$PROGRAM mount --background --on-error=report $IMAGES $MOUNT")
	t.Cleanup(func() { s.run("fusermount3 -u $MOUNT") })
	return s
}

// run runs a script, and returns what it prints. It must not fail.
func (s *shop) run(script string) string {
	s.t.Helper()
	out, err := s.try(script)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

func (s *shop) try(script string) (string, error) {
	cmd := exec.Command("bash", "-ec", script)
	cmd.Dir = s.fromExamples
	cmd.Env = append(os.Environ(), "IMAGES="+s.images, "MOUNT="+s.mount, "WORK="+s.work,
		"PROGRAM="+s.program, "HOME="+s.work, "RESTIC_PASSWORD=secret", "XDG_CACHE_HOME="+s.work,
		"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes", "READER="+reader, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestBackups: each backup holds all maps, and a second one the new map of a disk that changed.
func TestBackups(t *testing.T) {
	s := open(t)
	s.run("borg init -e none $WORK/borg && restic init -q -r $WORK/restic && mkdir $WORK/rsync")
	for round := range 2 {
		s.run("./backup-rsync.sh $MOUNT $WORK/rsync")
		s.run("./backup-borg.sh $MOUNT $WORK/borg && ./backup-restic.sh $MOUNT $WORK/restic")
		s.run(`rm -rf $WORK/b $WORK/r; mkdir $WORK/b; cd $WORK/b
			borg extract $WORK/borg::$(borg list --short --last 1 $WORK/borg)
			restic -q -r $WORK/restic restore latest --target $WORK/r >/dev/null`)
		for _, copies := range []string{"$WORK/rsync", "$WORK/b", "$WORK/r"} {
			s.run("diff -r $MOUNT " + copies)
		}
		if round == 0 {
			time.Sleep(1100 * time.Millisecond) // rsync goes by whole seconds
			s.run("qemu-io -f qcow2 -c 'write 0 64k' $IMAGES/alone.qcow2; sleep 2")
		}
	}
}

// TestRecipes: what the recipes find in maps whose content is known.
func TestRecipes(t *testing.T) {
	s := open(t)
	for script, want := range map[string]string{
		"jq -f data-bytes.jq $MOUNT/disk.qcow2.map.json": fmt.Sprintln(192 << 10),
		"jq -c -f largest-holes.jq $MOUNT/disk.qcow2.map.json": fmt.Sprintf(
			`[{"start":%d,"length":%d},{"start":0,"length":%d},{"start":%d,"length":%d}]`+"\n",
			2112<<10, 1984<<10, 1<<20, 1152<<10, 896<<10),
		"jq -c -f own-layer.jq $MOUNT/disk.qcow2.map.json": fmt.Sprintf(
			`{"data":%d,"zero":%d,"extents":2}`+"\n", 64<<10, 64<<10),
		`echo '[]' | jq -f data-bytes.jq`: "0\n", `echo '[]' | jq -f largest-holes.jq`: "[]\n",
	} {
		if got := s.run(script); got != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
}

// TestChanged: the parts that were written between two maps are printed, and no others.
func TestChanged(t *testing.T) {
	s := open(t)
	s.run("cp $MOUNT/alone.qcow2.map.json $WORK/old.json")
	if out, err := s.try("./changed.py $WORK/old.json $MOUNT/alone.qcow2.map.json"); out != "" ||
		err != nil {
		t.Errorf("the same maps: %v, %s", err, out)
	}
	s.run("qemu-io -f qcow2 -c 'write 3M 128k' -c 'discard 512k 64k' $IMAGES/alone.qcow2; sleep 2")
	out, err := s.try("./changed.py $WORK/old.json $MOUNT/alone.qcow2.map.json")
	want := fmt.Sprintf("{\"start\": %d, \"length\": %d}\n{\"start\": %d, \"length\": %d}\n",
		512<<10, 64<<10, 3<<20, 128<<10)
	if out != want || err == nil {
		t.Errorf("%v, %s, want %s", err, out, want)
	}
}

// TestReaders: the disk that the reader in Python writes is the disk, and the reader in Go lists
// the same data.
func TestReaders(t *testing.T) {
	s := open(t)
	s.run("./data.py $MOUNT/alone.qcow2.map.json $IMAGES/alone.qcow2 >$WORK/disk.raw")
	s.run("qemu-img compare -f raw -F qcow2 $WORK/disk.raw $IMAGES/alone.qcow2")
	out, err := s.try("./data.py $MOUNT/disk.qcow2.map.json $IMAGES/disk.qcow2 >$WORK/x.raw")
	if err == nil || !strings.Contains(out, "left out") {
		t.Errorf("data of another file: %v, %s", err, out)
	}
	const list = `jq -r '.[] | select(.data) | "\(.start) \(.length) \(.offset // "-")"' `
	for _, name := range []string{"alone", "disk"} {
		file := "$MOUNT/" + name + ".qcow2.map.json"
		got, want := s.run("$READER "+file), s.run(list+file)
		if got != want || got == "" {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestFstab: mount(8) mounts by the lines, once they are about these directories.
func TestFstab(t *testing.T) {
	needs.Root(t)
	s := open(t)
	got := s.run(`mkdir $WORK/1 $WORK/2 $WORK/sbin
		sed "s#^/images#$IMAGES#; s#/images #$IMAGES #; s#/mnt/instar#$WORK/1#; s#/srv/maps#$WORK/2#" fstab >$WORK/fstab
		ln -s $PROGRAM $WORK/sbin/mount.instarfs
		export PATH=$PATH:/sbin
		unshare --mount bash -ec '
			mount --make-rprivate /
			mount --bind $WORK/sbin /sbin
			mount -T $WORK/fstab -a -t instarfs
			cmp $WORK/1/disk.qcow2.map.json $WORK/2/disk.qcow2.map.json
			findmnt -rno OPTIONS $WORK/2
			umount $WORK/1 $WORK/2'`)
	if !strings.Contains(got, "allow_other") {
		t.Errorf("options: %s", got)
	}
}

// TestScripts: what cannot run here is well formed, and names options that there are.
func TestScripts(t *testing.T) {
	s := open(t)
	for _, name := range []string{"systemd.sh", "container.sh"} {
		s.run("sh -n " + name)
	}
	s.run(`sed -n 's/^OPTIONS=//p' systemd.sh | xargs $PROGRAM mount --help >/dev/null`)
	// What the first container is: no device, no privilege, a root that is read-only.
	got := s.run(`mkdir -p $WORK/root/usr/bin $WORK/root/images $WORK/root/proc; cp $PROGRAM $WORK/root/usr/bin
		cp $IMAGES/alone.qcow2 $WORK/root/images; chmod -R a+rX $WORK/root
		unshare --user --map-root-user --net --pid --ipc --mount --fork bash -ec '
			mount --bind $WORK/root $WORK/root; mount -t proc proc $WORK/root/proc
			mount -o remount,bind,ro $WORK/root; exec chroot $WORK/root /usr/bin/instarfs map --isolation process /images/alone.qcow2' 2>&1`)
	if !strings.Contains(got, "0x80000") {
		t.Errorf("without privileges: %s", got)
	}
}

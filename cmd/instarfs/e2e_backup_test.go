package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"instarfs/needs"
	"instarfs/stats"
)

// chainSource is a source with an overlay, its base, and an image that is damaged.
func chainSource(t *testing.T) string {
	t.Helper()
	source := t.TempDir()
	out := bash(t, `set -e; cd $S
		qemu-img create -q -f qcow2 base.qcow2 1M; qemu-io -f qcow2 -c "write 0 64k" base.qcow2 >/dev/null
		qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2 1M
		truncate -s 1M disk.raw newest.raw; printf 'QFI\373\0\0\0\003\377' >bad.qcow2; truncate -s 4k bad.qcow2
		touch -d '10 minutes ago' *; sleep 0.1; touch newest.raw`, "S="+source)
	if out != "" {
		t.Fatal(out)
	}
	return source
}

// replaceBase puts a base with another map under an overlay, whose mtime and size are those of the
// old one.
const replaceBase = `
	cp --preserve=timestamps $S/base.qcow2 $S/other
	qemu-io -f qcow2 -c "write 0 64k" -c "write 512k 64k" $S/other >/dev/null
	truncate -s $(stat -c %s $S/base.qcow2) $S/other; touch -r $S/base.qcow2 $S/other
	touch -d '1 year ago' $S/other; mv $S/other $S/base.qcow2
	`

// backups are programs that copy what has changed: how they copy the mount at $M to $W, and how to
// see what they took, in the tree $W/copy.
var backups = []struct{ program, pkg, begin, copy, restore string }{
	{"rsync", "rsync", "", `rsync -a --itemize-changes $M/ $W/copy/ | grep '^>f' || true`, ""},
	{"cp", "coreutils", "", `cp -a -u -v $M/. $W/copy | sed 's/.*-> //' | grep '\.map\.' || true`, ""},
	{"tar", "tar", "", `tar -c --listed-incremental=$W/snar -vf $W/$(date +%s%N).tar -C $M . | grep '\.map\.' || true`,
		`for a in $W/*.tar; do tar -x --listed-incremental=/dev/null -f $a -C $W/copy; done`},
	{"borg", "borgbackup", `borg init -e none $W/repo 2>/dev/null`,
		// It takes what is as new as the newest again each time, in case it still changes.
		`cd $M && borg create --list --filter=AM $W/repo::$(date +%s%N) . 2>&1 | grep '\.map\.' | grep -v newest || true`,
		`cd $W/copy && borg extract $W/repo::$(borg list --short --last 1 $W/repo)`},
	{"restic", "restic", `restic init -q --insecure-no-password -r $W/repo 2>/dev/null || restic init -q -r $W/repo`,
		`cd $M && restic backup -r $W/repo -v -v . 2>&1 | grep -E '^(new|modified) .*\.map\.' || true`,
		`restic restore -q -r $W/repo latest --target $W/copy >/dev/null; cp -a $W/copy$M/. $W/copy 2>/dev/null || true`},
	{"find", "findutils", `touch -d '1 hour ago' $W/stamp`,
		`find $M -type f -newer $W/stamp; touch $W/stamp`, `cp -a $M/. $W/copy`},
	{"duplicity", "duplicity", "",
		`duplicity --no-encryption -v5 $M file://$W/repo 2>&1 | grep -E '^[AM] .*\.map\.' || true`,
		`duplicity restore --no-encryption file://$W/repo $W/copy --force >/dev/null 2>&1`},
}

// TestBackups: programs that look at times and sizes take a map again when it changed, also by a
// file under the image that took the place of a newer one, and take no other.
func TestBackups(t *testing.T) {
	for _, b := range backups {
		t.Run(b.program, func(t *testing.T) {
			t.Parallel()
			needs.Program(t, b.program, b.pkg)
			source := chainSource(t)
			s := serve(t, source, "--on-error=hide")
			work := t.TempDir()
			run := func(script string) string {
				return bash(t, "mkdir -p $W/copy; "+script, "M="+s.dir, "S="+source, "W="+work,
					"RESTIC_PASSWORD=x", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes",
					"HOME="+work)
			}
			if b.begin != "" {
				run(b.begin)
			}
			if got := run(b.copy); strings.Count(got, ".map.") < 6 {
				t.Errorf("the first time: %s", got)
			}
			if got := run(b.copy); got != "" {
				t.Errorf("nothing has changed, and it takes: %s", got)
			}
			time.Sleep(attributesLast) // rsync and cp go by whole seconds
			if out := run(replaceBase); out != "" {
				t.Fatal(out)
			}
			await(t, "the kernel forgets what it knew", func() bool {
				return strings.Contains(s.read("base.qcow2.map.json"), "524288")
			})
			time.Sleep(attributesLast)
			got := run(b.copy)
			for _, name := range []string{"base", "over"} {
				if strings.Count(got, name+".qcow2.map.") != 2 {
					t.Errorf("the base changed, and it takes: %s", got)
				}
			}
			if strings.Contains(got, "disk.raw") {
				t.Errorf("disk.raw did not change: %s", got)
			}
			compare := "\nexport LC_ALL=C; cd $M; for f in *; do cmp $f $W/copy/$f; done"
			if out := run(b.restore + compare); out != "" {
				t.Errorf("the copy differs: %s", out)
			}
		})
	}
}

// attributesLast is longer than the kernel goes by what it knows of a file.
const attributesLast = 1100 * time.Millisecond

// TestTimes: the times of a map are the newest of its chain, or the image's own.
func TestTimes(t *testing.T) {
	source := chainSource(t)
	times := func(s *server, name string) (mtime, ctime time.Time) {
		info, err := os.Stat(s.path(name + ".map.json"))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime(), time.Unix(info.Sys().(*syscall.Stat_t).Ctim.Unix())
	}
	of := func(name string) (mtime, ctime time.Time) {
		info, err := os.Stat(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime(), time.Unix(info.Sys().(*syscall.Stat_t).Ctim.Unix())
	}
	chain, own := serve(t, source), serve(t, source, "--times=image")
	overM, overC := of("over.qcow2")
	_, baseC := of("base.qcow2")
	newest := overC
	if baseC.After(newest) {
		newest = baseC
	}
	if m, c := times(chain, "over.qcow2"); !m.Equal(newest) || !c.Equal(newest) {
		t.Errorf("chain: mtime %v, ctime %v, want %v", m, c, newest)
	}
	if m, c := times(own, "over.qcow2"); !m.Equal(overM) || !c.Equal(overC) {
		t.Errorf("image: mtime %v, ctime %v, want %v, %v", m, c, overM, overC)
	}
	bash(t, replaceBase, "S="+source)
	time.Sleep(attributesLast)
	_, baseC = of("base.qcow2")
	if m, c := times(chain, "over.qcow2"); !m.Equal(baseC) || !c.Equal(baseC) || !m.After(newest) {
		t.Errorf("a new base: mtime %v, ctime %v, want %v", m, c, baseC)
	}
	if m, c := times(own, "over.qcow2"); !m.Equal(overM) || !c.Equal(overC) {
		t.Errorf("image: a new base: mtime %v, ctime %v, want %v, %v", m, c, overM, overC)
	}
}

// TestOnError: what listings show of an image without a map.
func TestOnError(t *testing.T) {
	source := chainSource(t)
	if err := os.Symlink("bad.qcow2", filepath.Join(source, "link.qcow2")); err != nil {
		t.Fatal(err)
	}
	const good = "base.qcow2.map.json\nbase.qcow2.map.txt\ndisk.raw.map.json\ndisk.raw.map.txt\n" +
		"newest.raw.map.json\nnewest.raw.map.txt\nover.qcow2.map.json\nover.qcow2.map.txt\n"
	for how, bad := range map[string]string{
		"error": "bad.qcow2.map.json\nbad.qcow2.map.txt\nlink.qcow2.map.json\n" +
			"link.qcow2.map.txt\n",
		"hide":   "",
		"report": "bad.qcow2.map.err\nlink.qcow2.map.err\n",
	} {
		s := serve(t, source, "--on-error", how)
		want := bash(t, "printf '"+strings.ReplaceAll(good+bad, "\n", `\n`)+"' | LC_ALL=C sort")
		for range 2 {
			if got := s.bash("LC_ALL=C ls $M"); got != want {
				t.Errorf("%s: %s\nwant %s", how, got, want)
			}
			if got := s.bash("cat $M/* >/dev/null"); (got != "") != (how == "error") {
				t.Errorf("%s: reading all says %s", how, got)
			}
		}
		if how == "report" {
			got := s.read("bad.qcow2.map.err")
			if !strings.Contains(got, "bad.qcow2") || strings.Count(got, "\n") != 1 ||
				s.read("link.qcow2.map.err") == "" {
				t.Errorf("the reason: %q", got)
			}
		}
		if _, err := os.ReadFile(s.path("bad.qcow2.map.json")); err == nil {
			t.Errorf("%s: a damaged image has a map", how)
		}
		// It has a map once it is an image, without a change of the directory.
		s.bash(`cat $S/disk.raw >$S/bad.qcow2`)
		await(t, "the image is listed", func() bool {
			return strings.Contains(s.bash("ls $M"), "bad.qcow2.map.json")
		})
		s.bash(`cd $S; printf 'QFI\373\0\0\0\003\377' >bad.qcow2; truncate -s 4k bad.qcow2
			touch -d '10 minutes ago' bad.qcow2`)
		s.remove()
	}
}

// TestInode32: all inode numbers that programs see fit into 32 bits, and agree.
func TestInode32(t *testing.T) {
	source := t.TempDir()
	for i := range 20 {
		writeAt(t, filepath.Join(source, "d", fmt.Sprint(i)+".raw"), map[int64]string{0: "x"})
	}
	s := serve(t, source, "--inode32")
	script := `import os, sys
for d, _, files in os.walk(sys.argv[1]):
    for e in os.scandir(d):
        s = os.lstat(e.path)
        f = s if e.is_dir() else os.fstat(os.open(e.path, os.O_RDONLY))
        if not (e.inode() == s.st_ino == f.st_ino) or s.st_ino >= LIMIT:
            print(e.path, e.inode(), s.st_ino, f.st_ino)`
	for _, state := range []string{"cold", "warm"} {
		limited := strings.ReplaceAll(script, "LIMIT", "2**32")
		if got := bash(t, `python3 -c "$P" $M`, "P="+limited, "M="+s.dir); got != "" {
			t.Errorf("%s: %s", state, got)
		}
	}
	s = serve(t, source)
	limited := strings.ReplaceAll(script, "LIMIT", "2**63")
	if got := bash(t, `python3 -c "$P" $M`, "P="+limited, "M="+s.dir); got != "" {
		t.Errorf("without the option: %s", got)
	}
}

// TestVanished: what is not shown although its name is that of an image is told, and a source that
// was removed is not taken for an empty one.
func TestVanished(t *testing.T) {
	needs.Root(t) // who may make devices
	source := filepath.Join(t.TempDir(), "source")
	out := bash(t, `mkdir $S; cd $S; truncate -s 1M a.raw; ln -s /etc/passwd out.raw; ln -s nothing.raw dangling.raw
		ln -s /etc/passwd notes; mknod dev.raw b 7 0`, "S="+source)
	if out != "" {
		t.Fatal(out)
	}
	s := serve(t, source)
	s.bash("ls $M; ls $M")
	told := func(name string) (n int) {
		for _, line := range s.log() {
			if strings.Contains(line, name+" is not shown: it is a ") {
				n++
			}
		}
		return n
	}
	for _, name := range []string{"out.raw", "dangling.raw", "dev.raw"} {
		await(t, name+" is told", func() bool { return told(name) > 0 })
		if n := told(name); n != 1 {
			t.Errorf("%s: said %d times: %q", name, n, s.log())
		}
	}
	var failures []stats.Failure
	if s.decode("errors.json", &failures); len(failures) != 3 {
		t.Errorf("%+v", failures)
	}
	s.bash("rm $S/dev.raw $S/out.raw; ln -s a.raw $S/out.raw")
	s.decode("errors.json", &failures)
	if len(failures) != 1 || failures[0].Image != "dangling.raw" {
		t.Errorf("%+v", failures)
	}
	bash(t, "rm -r $S; mkdir $S; touch $S/b.raw", "S="+source)
	time.Sleep(attributesLast)
	if got := s.bash("LC_ALL=C ls $M"); !strings.Contains(got, "Stale file handle") {
		t.Errorf("a source that was removed: %s", got)
	}
}

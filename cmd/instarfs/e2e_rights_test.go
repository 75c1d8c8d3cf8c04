package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"instarfs/needs"
)

// Users of these tests. Nobody needs to exist to own files.
const (
	ann  = 2001 // owns the directory of the overlays
	bob  = 2002 // has a directory that nobody else may search
	cat  = 2003 // is in team, and named in an access control list
	team = 3000
)

// as makes a command one of a user, whose only supplementary group is that of his name and, for
// cat, team.
func as(uid int, name string, args ...string) *exec.Cmd {
	groups := "--clear-groups"
	if uid == cat {
		groups = fmt.Sprintf("--groups=%d", team)
	}
	who := []string{fmt.Sprintf("--reuid=%d", uid), fmt.Sprintf("--regid=%d", uid), groups, name}
	cmd := exec.Command("setpriv", append(who, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return cmd
}

// openTo makes the directories of a test searchable for all: those of testing.T are for their owner
// only.
func openTo(t *testing.T, dir string) {
	t.Helper()
	for d := dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// rightsTree makes a source with files of several users in it.
func rightsTree(t *testing.T) string {
	t.Helper()
	source := t.TempDir()
	openTo(t, source)
	out := bash(t, `set -e; cd $S; mkdir ann bob root list team
		disk() { qemu-img create -q -f qcow2 $1 1M; qemu-io -f qcow2 -c "write 64k 128k" $1 >/dev/null; }
		overlay() { qemu-img create -q -u -f qcow2 -b $1 -F ${3:-qcow2} $2 1M; }
		disk bob/disk.qcow2; chmod 644 bob/disk.qcow2; mkdir bob/pub; cp bob/disk.qcow2 bob/pub/p.qcow2
		disk root/base.qcow2; chmod 600 root/base.qcow2; disk root/open.qcow2; chmod 644 root/open.qcow2
		truncate -s 1M root/secret.raw; chmod 600 root/secret.raw
		overlay base.qcow2 root/over.qcow2; chmod 644 root/over.qcow2
		overlay ../bob/gone.qcow2 root/lost.qcow2; overlay ../bob/disk.qcow2 root/hidden.qcow2
		chmod 644 root/lost.qcow2 root/hidden.qcow2
		disk list/l.qcow2; chmod 600 list/l.qcow2; setfacl -m u:$CAT:r,g::-,m::r list/l.qcow2; chgrp $ANN list/l.qcow2
		disk list/d.qcow2; chmod 644 list/d.qcow2; setfacl -m u:$ANN:- list/d.qcow2
		mkdir list/dir; disk list/dir/x.qcow2; chmod 644 list/dir/x.qcow2
		chmod 750 list/dir; setfacl -m u:$CAT:x list/dir
		disk team/t.qcow2; chmod 640 team/t.qcow2; chgrp $TEAM team/t.qcow2
		disk team/not.qcow2; chmod 604 team/not.qcow2; chgrp $TEAM team/not.qcow2
		disk ann/broken.qcow2
		printf '\200\0\0\0\0\4\2\1' | dd of=ann/broken.qcow2 bs=1 seek=196608 conv=notrunc status=none
		qemu-img create -q -u -f qcow2 -b broken.qcow2 -F qcow2 ann/broken-base.qcow2 1M
		chmod 644 ann/broken.qcow2 ann/broken-base.qcow2
		cd ann; overlay ../root/base.qcow2 o1.qcow2; overlay ../root/secret.raw o2.qcow2 raw
		overlay ../bob/disk.qcow2 o3.qcow2
		overlay ../bob/nothing.qcow2 o4.qcow2; overlay ../root/open.qcow2 o5.qcow2; overlay ../root/over.qcow2 o6.qcow2
		overlay ../team/t.qcow2 o7.qcow2
		ln -s ../bob/disk.qcow2 l.qcow2; ln -s ../bob/pub d; ln -s ../bob/nothing.qcow2 n.qcow2
		ln -s ../root/open.qcow2 r.qcow2; ln -s ../root dir
		ln -s $S/root/open.qcow2 abs.qcow2
		printf '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n' >v.vmdk
		printf 'RW 2048 FLAT "../root/secret.raw" 0\n' >>v.vmdk
		qemu-img create -q -f qcow2 -o data_file=ext.raw,data_file_raw=on e.qcow2 1M
		chown 0:0 ext.raw; chmod 600 ext.raw
		chmod 644 o*.qcow2 v.vmdk e.qcow2; chown -hR $ANN:$ANN . ; chown 0:0 ext.raw
		cd ..; chown -R $BOB:$BOB bob; chmod 700 bob; chmod 755 bob/pub
		`, "S="+source, fmt.Sprintf("ANN=%d", ann), fmt.Sprintf("BOB=%d", bob),
		fmt.Sprintf("CAT=%d", cat), fmt.Sprintf("TEAM=%d", team))
	if out != "" {
		t.Fatal(out)
	}
	return source
}

// TestRightsOfUsers: of a mount that lets all in, each user gets the maps of those images of which
// he can read every file.
func TestRightsOfUsers(t *testing.T) {
	needs.Qemu(t)
	source, dir := rightsTree(t), t.TempDir()
	openTo(t, dir)
	s := serveBy(t, child(walkedChild, "mount", "--allow-other", source, dir), source, dir)
	const all, root = "root ann bob cat", "root"
	for _, image := range []struct{ name, may string }{
		{"bob/disk.qcow2", "root bob"}, {"bob/pub/p.qcow2", "root bob"},
		{"root/base.qcow2", root}, {"root/secret.raw", root}, {"root/open.qcow2", all},
		// The owner of the overlay may open its base; these others may not.
		{"root/over.qcow2", root}, {"root/hidden.qcow2", "root bob"},
		{"list/l.qcow2", "root cat"}, {"list/d.qcow2", "root bob cat"},
		{"list/dir/x.qcow2", "root cat"},
		{"team/t.qcow2", "root cat"}, {"team/not.qcow2", "root ann bob"},
		// The owner of the overlay may not open its base, so nobody gets to see it by this overlay.
		{"ann/o1.qcow2", ""}, {"ann/o2.qcow2", ""}, {"ann/o3.qcow2", ""}, {"ann/o4.qcow2", ""},
		{"ann/v.vmdk", ""}, {"ann/e.qcow2", ""}, {"ann/o7.qcow2", ""},
		{"ann/o5.qcow2", all}, {"ann/broken.qcow2", ""}, {"ann/broken-base.qcow2", ""},
		// Ann's overlay names root's, which all may read; that names what root may read.
		{"ann/o6.qcow2", root},
		{"ann/l.qcow2", "root bob"}, {"ann/d/p.qcow2", "root bob"}, {"ann/n.qcow2", ""},
		{"ann/r.qcow2", all}, {"ann/abs.qcow2", all},
		{"ann/dir/open.qcow2", all}, {"ann/dir/base.qcow2", root},
	} {
		// Twice: what one user was shown must not be there for the next.
		for range 2 {
			var may []string
			for _, u := range []struct {
				name string
				uid  int
			}{{"root", 0}, {"ann", ann}, {"bob", bob}, {"cat", cat}} {
				file := s.path(image.name + ".map.json")
				size, _ := as(u.uid, "stat", "-L", "-c", "%s", file).Output()
				out, err := as(u.uid, "cat", file).Output()
				if err == nil && len(out) > 0 {
					may = append(may, u.name)
				}
				if told := strings.TrimSpace(
					string(size)); (err == nil) != (told == fmt.Sprint(len(out)) && told != "0") {
					t.Errorf("%s: %s is told a size of %q, and reads %d bytes (%v)", image.name,
						u.name, told, len(out), err)
				}
				err = as(u.uid, "test", "-r", s.path(image.name+".map.txt")).Run()
				if u.uid != 0 && (err == nil) != (len(out) > 0) && image.may != "" {
					t.Errorf("%s: access says that %s may read it: %v", image.name, u.name,
						err == nil)
				}
			}
			if got := strings.Join(may, " "); got != image.may {
				t.Errorf("%s: %q may read the map, want %q", image.name, got, image.may)
			}
		}
	}
	s.checkHidden(t)
	for uid, want := range map[int]string{0: "damaged", ann: "damaged", bob: "damaged"} {
		for _, name := range []string{"broken", "broken-base"} {
			out, _ := as(uid, "cat", s.path("ann/"+name+".qcow2.map.err")).CombinedOutput()
			if !strings.Contains(string(out), want) {
				t.Errorf("%d is told of %s: %s", uid, name, out)
			}
		}
	}
	// Who is handed an open file may read it, as any other.
	f, err := os.Open(s.path("root/base.qcow2.map.json"))
	if err != nil {
		t.Fatal(err)
	}
	reader := as(ann, "cat")
	reader.Stdin = f
	out, err := reader.CombinedOutput()
	f.Close()
	if err != nil || !strings.HasPrefix(string(out), "[{") {
		t.Errorf("a descriptor that was handed over: %v: %.200s", err, out)
	}
	if log := strings.Join(s.log(), "\n"); strings.Contains(log, "panic") {
		t.Error(log)
	}
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("status %d: %q", code, s.log())
	}
}

// checkHidden: what ann may not see is the same to her whether or not it is there.
func (s *server) checkHidden(t *testing.T) {
	t.Helper()
	told := func(name string) string {
		out, _ := as(ann, "bash", "-c",
			`cat "$1".map.err; cat "$1".map.json; stat -L -c %s "$1".map.json; ls -lL "$1".map.txt`,
			"bash", s.path(name)).CombinedOutput()
		return string(out)
	}
	for _, pair := range [][4]string{
		{"ann/o3.qcow2", "ann/o4.qcow2", "disk", "nothing"}, {"ann/l.qcow2", "ann/n.qcow2", "", ""},
		{"bob/disk.qcow2", "bob/nothing.qcow2", "", ""},
		{"root/hidden.qcow2", "root/lost.qcow2", "disk", "gone"},
	} {
		same := func(name, base string) string {
			text := strings.ReplaceAll(told(name), "/"+filepath.Base(name), "/X")
			if base != "" {
				text = strings.ReplaceAll(text, "/"+base+".qcow2", "/Y")
			}
			return text
		}
		if a, b := same(pair[0], pair[2]), same(pair[1], pair[3]); a != b ||
			!strings.Contains(a, "ermission denied") {
			t.Errorf("%s:\n%s%s:\n%s", pair[0], a, pair[1], b)
		}
	}
}

// TestMessagesQuoteNothingSecret: the reason why an image has no map holds no byte of a file that
// its reader may not read.
func TestMessagesQuoteNothingSecret(t *testing.T) {
	needs.Qemu(t)
	source, dir := t.TempDir(), t.TempDir()
	openTo(t, source)
	openTo(t, dir)
	key := "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("hunter2hunter2hu", 64)
	out := bash(t, `set -e; cd $S; mkdir ann root; printf %s "$KEY" >root/key
		printf 'createType="monolithicFlat"\nRW hunter2 is secret\n' >root/notes
		chmod 600 root/*
		for f in vdi cloop vmdk vpc qed parallels dmg bochs vhdx luks; do for n in key notes; do
			qemu-img create -q -u -f qcow2 -b ../root/$n -F $f ann/$f-$n.qcow2 1G
			qemu-img create -q -u -f qcow2 -b ../root/$n -F $f root/$f-$n.qcow2 1G; done; done
		chmod 644 root/*.qcow2; chown -R $ANN:$ANN ann`, "S="+source, "KEY="+key, fmt.Sprintf("ANN=%d", ann))
	if out != "" {
		t.Fatal(out)
	}
	for _, options := range [][]string{nil, {"--reference-rights", "mount"}} {
		s := serveBy(t, child(walkedChild,
			append(append([]string{"mount", "--allow-other"}, options...), source, dir)...), source,
			dir)
		read := func(uid int) string {
			out, _ := as(uid, "bash", "-c",
				`cd "$1"; for i in {ann,root}/*-{key,notes}.qcow2; do echo "$i: $(cat "$2/$i.map.err" 2>&1)"; done`,
				"bash", source, dir).CombinedOutput()
			return string(out)
		}
		if all := read(0); !strings.Contains(all, "hunter2") && !strings.Contains(all, "0x") {
			t.Errorf("%q: no message quotes anything to root: this test sees nothing: %s", options,
				all)
		}
		for _, line := range strings.Split(strings.TrimSpace(read(ann)), "\n") {
			if strings.Contains(line, "hunter") || strings.Contains(line, "0x") ||
				!strings.Contains(line, "ermission denied") {
				t.Errorf("%q: ann is told: %s", options, line)
			}
		}
		if code := s.end(syscall.SIGTERM); code != 0 {
			t.Errorf("status %d: %q", code, s.log())
		}
	}
}

// TestMapAsRootOfOthersImages: root who maps what a user made sees by it what that user can see.
func TestMapAsRootOfOthersImages(t *testing.T) {
	needs.Qemu(t)
	source := rightsTree(t)
	for _, c := range []struct {
		image string
		args  []string
		fails bool
	}{
		{"ann/o5.qcow2", nil, false}, {"ann/o1.qcow2", nil, true}, {"ann/o2.qcow2", nil, true},
		{"ann/v.vmdk", nil, true},
		{"ann/o1.qcow2", []string{"--reference-rights=mount"}, false},
		{"ann/o1.qcow2", []string{"--reference-rights=owner"}, true},
		{"root/over.qcow2", nil, false}, {"root/hidden.qcow2", nil, false},
		{"root/lost.qcow2", nil, true},
	} {
		args := append(append([]string{"map", "--allow-dir", source}, c.args...),
			filepath.Join(source, c.image))
		out, err := child(walkedChild, args...).CombinedOutput()
		if (err != nil) != c.fails {
			t.Errorf("%q: %v: %s", args, err, out)
		}
		if warns := strings.Contains(string(out),
			"warning: --reference-rights mount"); warns != (len(c.args) > 0 && !c.fails) {
			t.Errorf("%q: warning %v: %s", args, warns, out)
		}
	}
}

// TestListingsOfUsers: who may not list a directory cannot by the mount, and ls -l of one that he
// may list is quiet.
func TestListingsOfUsers(t *testing.T) {
	needs.Qemu(t)
	source, dir := rightsTree(t), t.TempDir()
	openTo(t, dir)
	s := serveBy(t, child(walkedChild, "mount", "--allow-other", source, dir), source, dir)
	for range 2 {
		if out := s.bash("ls -lR $M >/dev/null"); out != "" {
			t.Errorf("root: %s", out)
		}
		for name, uid := range map[string]int{"ann": ann, "bob": bob, "cat": cat} {
			for _, d := range []string{"bob", "list/dir", "root", "ann", "."} {
				real := as(uid, "ls", filepath.Join(source, d)).Run() == nil
				out, err := as(uid, "ls", "-l", s.path(d)).CombinedOutput()
				if (err == nil) != real {
					t.Errorf("%s lists %s: %v, of the source %v: %s", name, d, err == nil, real,
						out)
				}
				in := as(uid, "test", "-x", filepath.Join(source, d)).Run() == nil
				if got := as(uid, "bash", "-c", `cd "$1"`, "bash",
					s.path(d)).Run() == nil; got != in {
					t.Errorf("%s enters %s: %v, of the source %v", name, d, got, in)
				}
			}
		}
	}
	// Modes are never wider than what whole classes of users may do.
	for file, want := range map[string]string{
		"list/l.qcow2.map.json": "-rw-------", "list/d.qcow2.map.json": "-rw-------",
		"root/open.qcow2.map.json": "-rw-r--r--",
		"root/over.qcow2.map.json": "-rw-------", "ann/o5.qcow2.map.json": "-rw-r--r--",
		"ann/o6.qcow2.map.json": "--w-------",
	} {
		if got := strings.TrimSpace(s.bash("stat -c %A $M/" + file)); got != want {
			t.Errorf("%s is shown as %s, want %s", file, got, want)
		}
	}
}

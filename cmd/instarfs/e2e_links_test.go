package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRootsAreResolvedOnce: an image keeps the files under it whichever name of a directory leads to it, and absolute links into
// the source, or into a directory that is allowed, are followed.
func TestRootsAreResolvedOnce(t *testing.T) {
	base := t.TempDir()
	out := bash(t, `set -e; cd $S; mkdir real allowed; ln -s real link; ln -s allowed other
		disk() { qemu-img create -q -f qcow2 $1 1M; qemu-io -f qcow2 -c "write 64k 128k" $1 >/dev/null; }
		overlay() { qemu-img create -q -u -f qcow2 -b "$1" -F qcow2 $2 1M; }
		disk real/base.qcow2; disk allowed/base.qcow2; mkdir real/sub; ln -s sub real/d
		overlay $S/real/base.qcow2 real/by-real.qcow2; overlay $S/link/base.qcow2 real/by-link.qcow2
		overlay $S/allowed/base.qcow2 real/allowed.qcow2; overlay $S/other/base.qcow2 real/other.qcow2
		ln -s $S/real/base.qcow2 real/abs; overlay abs real/over-abs.qcow2
		ln -s $S/link/base.qcow2 real/abslink; overlay abslink real/over-abslink.qcow2
		ln -s $S/allowed/base.qcow2 real/out; overlay out real/over-out.qcow2; ln -s ../allowed/base.qcow2 real/relout; overlay relout real/over-relout.qcow2
		overlay ../base.qcow2 real/sub/up.qcow2
		ln -s $S/allowed/base.qcow2 real/image.qcow2; ln -s $S/nowhere real/dangling.qcow2; ln -s /etc/passwd real/passwd.img`, "S="+base)
	if out != "" {
		t.Fatal(out)
	}
	const based = `"depth": 1, "present": true`
	for _, dir := range []string{"real", "link"} {
		source := filepath.Join(base, dir)
		for _, allow := range []string{"allowed", "other"} {
			mnt := t.TempDir()
			s := serveBy(t, child(walkedChild, "mount", "--allow-dir", filepath.Join(base, allow), source, mnt), source, mnt)
			for _, name := range []string{"by-real", "by-link", "allowed", "other", "over-abs", "over-abslink", "over-out", "over-relout", "sub/up", "d/up"} {
				// A third name of a directory is that of another one, as far as anybody knows who does not ask.
				known := !strings.HasSuffix(name, "link") || dir == "link"
				if name == "other" {
					known = allow == "other"
				}
				got, _ := os.ReadFile(s.path(name + ".qcow2.map.json"))
				if strings.Contains(string(got), based) != known {
					t.Errorf("%s, %s: %s: %.300q", dir, allow, name, got)
				}
				if strings.Contains(name, "/") {
					continue // its base is above its own directory
				}
				out, err := child(walkedChild, "map", "--output=json", "--allow-dir", filepath.Join(base, allow), filepath.Join(source, name+".qcow2")).CombinedOutput()
				if strings.Contains(string(out), based) != known || (err == nil) != known {
					t.Errorf("map %s, %s: %s: %v: %.300q", dir, allow, name, err, out)
				}
			}
			// A link to an image in an allowed directory is that image.
			if got := s.read("image.qcow2.map.json"); !strings.Contains(got, `"depth": 0, "present": true`) {
				t.Errorf("a link to an allowed image: %.300q", got)
			}
			list := s.bash("ls $M")
			if !strings.Contains(list, "image.qcow2.map.json") || strings.Contains(list, "dangling") || strings.Contains(list, "passwd") {
				t.Errorf("listed: %s", list)
			}
			for _, name := range []string{"dangling.qcow2", "passwd.img"} {
				if _, err := os.ReadFile(s.path(name + ".map.json")); !errors.Is(err, syscall.ENOENT) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if code := s.end(syscall.SIGTERM); code != 0 {
				t.Errorf("status %d: %q", code, s.log())
			}
		}
	}
	// Without leave none of these leads out.
	for _, name := range []string{"allowed", "other", "over-out", "over-relout"} {
		out, err := child(walkedChild, "map", filepath.Join(base, "real", name+".qcow2")).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "lies outside") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

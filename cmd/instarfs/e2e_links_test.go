package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"instarfs/needs"
)

// TestLinksTellNothing: root's links into a directory that a user may not search look the same to
// him whether or not their targets exist: in listings, which the kernel keeps for all, and by name.
func TestLinksTellNothing(t *testing.T) {
	needs.Qemu(t)
	source, allowed, dir := rightsTree(t), t.TempDir(), t.TempDir()
	openTo(t, dir)
	out := bash(t, `set -e; mkdir $A/private; cp $S/root/open.qcow2 $A/private/x.qcow2; chmod 700 $A/private; cd $S/root
		ln -s ../bob/disk.qcow2 a1.qcow2; ln -s ../bob/nothing.qcow2 a2.qcow2; ln -s ../bob/pub b1; ln -s ../bob/no b2
		ln -s ../bob/pub c1.raw; ln -s ../bob/nothing c2.raw; ln -s ../team d0; ln -s open.qcow2 e0.qcow2
		ln -s $A/private/x.qcow2 f1.qcow2; ln -s $A/private/y.qcow2 f2.qcow2`, "S="+source, "A="+allowed)
	if out != "" {
		t.Fatal(out)
	}
	openTo(t, allowed)
	args := []string{"mount", "--allow-other", "--allow-dir", allowed, source, dir}
	s := serveBy(t, child(walkedChild, args...), source, dir)
	seen := func(uid int) string {
		const script = `cd "$1"; ls | grep '^[a-f][0-2]'
			for f in a b c f; do for n in 1 2; do for x in "" .raw .qcow2 .qcow2.map.json .raw.map.txt; do
			echo "$f $n $(stat -c '%F %s %a' $f$n$x 2>&1) $(readlink $f$n$x)"; done; done; done`
		out, _ := as(uid, "bash", "-c", script, "bash", filepath.Join(dir, "root")).CombinedOutput()
		return string(out)
	}
	for range 2 {
		_ = seen(0) // what is kept for others afterwards
		got := map[string]string{}
		for line := range strings.Lines(seen(ann)) {
			var f, n string
			if c, _ := fmt.Sscan(line, &f, &n); c == 2 {
				got[n] += strings.ReplaceAll(line[len(f)+len(n)+1:], f+n, f+"N")
			} else if !strings.HasPrefix(line, "d0") && !strings.HasPrefix(line, "e0.qcow2.map.") {
				t.Errorf("ann's listing has %q", line)
			}
		}
		hide := strings.NewReplacer("nothing", "T", "disk", "T", "/pub", "/T", "/no\n", "/T\n",
			"/x.", "/T.", "/y.", "/T.")
		one, two := hide.Replace(got["1"]), hide.Replace(got["2"])
		if sizeless(one) != sizeless(two) || len(one) == 0 {
			t.Errorf("what exists:\n%swhat does not:\n%s", got["1"], got["2"])
		}
	}
	// Bob can follow them, and does.
	for _, file := range []string{"a1.qcow2.map.json", "b1/p.qcow2.map.json", "e0.qcow2.map.json"} {
		if out, err := as(bob, "cat", s.path("root/"+file)).Output(); err != nil || len(out) == 0 {
			t.Errorf("bob, %s: %v", file, err)
		}
	}
	if _, err := os.ReadFile(s.path("root/f1.qcow2.map.json")); err != nil {
		t.Error(err)
	}
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("status %d: %q", code, s.log())
	}
}

// sizeless leaves the sizes of links out, which are those of their texts.
func sizeless(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) > 3 && words[0] == "symbolic" {
			words[2] = "N"
		}
		b.WriteString(strings.Join(words, " ") + "\n")
	}
	return b.String()
}

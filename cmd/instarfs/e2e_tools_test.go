package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"instarfs/needs"
)

// treeTools walk the tree of maps in bash, with M the mount or plain copies of it, R the copies,
// and W an empty directory. Whatever they print and write has to be the same of both.
var treeTools = []string{
	`cd $M && find . -type f | sort | xargs -d '\n' cat`,
	`cd $M && find . -type f | sort | xargs -d '\n' busybox cat`,
	`cp -a $M/. $W && chmod -R u+w $W`,
	`cp -r $M/sub $W && chmod -R u+w $W`,
	`cd $M && grep -r '"zero": true' . | sort`,
	`cd $M && grep -rc . sub | sort`,
	`diff -r $M $R; echo $?`,
	`tar -cf $W/t.tar -C $M . && tar -xf $W/t.tar -C $W && chmod -R u+w $W && rm $W/t.tar`,
	`rsync -a $M/ $W/ && rsync -ai $M/ $W/ && chmod -R u+w $W`,
	`cd $M && find . -name '*.json' | sort | xargs -d '\n' jq -c 'map(select(.data)) | map(.length) | add'`,
	`cd $M && find . -type f -size +1k | sort; find . -type f -size -2 | sort; find . -type f -printf '%s %m %T@ %p\n' | sort`,
	`cd $M && find . -type f | sort | xargs -d '\n' du -b`,
	`cd $R && find . -type f | sort | while read -r f; do cmp $M/"$f" $R/"$f" || echo "$f"; done`,
	`cd $M && for f in many.qcow2.map.json many.qcow2.map.txt; do for i in 1 2 3 4 5 6; do sha256sum $f & done; wait; done`,
}

var toolPackages = map[string]string{
	"busybox": "busybox-static", "cmp": "diffutils", "diff": "diffutils", "find": "findutils",
	"jq": "jq", "rsync": "rsync", "tar": "tar",
}

// TestToolsOverMount has tools read a mount that knows nothing yet, one whose sizes are known, and
// one that knows all.
func TestToolsOverMount(t *testing.T) {
	for program, pkg := range toolPackages {
		needs.Program(t, program, pkg)
	}
	source, copies := sampleTree(t), t.TempDir()
	copyMaps(t, source, copies)
	warm := serve(t, source)
	warm.bash("ls -lR $M; cat $M/*")
	var next atomic.Int32
	for worker := range 2 {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for i := next.Add(1) - 1; int(i) < len(treeTools); i = next.Add(1) - 1 {
				script := treeTools[i]
				want := useTree(t, script, copies, copies)
				s := serve(t, source)
				compareTool(t, "cold", script, useTree(t, script, s.dir, copies), want)
				s.remove()
				s = serve(t, source)
				s.bash("ls -lR $M")
				compareTool(t, "after ls -l", script, useTree(t, script, s.dir, copies), want)
				s.remove()
				compareTool(t, "warm", script, useTree(t, script, warm.dir, copies), want)
			}
		})
	}
}

func compareTool(t *testing.T, state, script, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s\nprints or writes %.2000s\n           want %.2000s", state, script, got,
			want)
	}
}

// copyMaps writes what instarfs map prints of the sample images as plain files with the attributes
// that the mount shows.
func copyMaps(t *testing.T, source, copies string) {
	t.Helper()
	real := realTool(t)
	for _, image := range sampleImages {
		info, err := os.Stat(filepath.Join(source, image))
		if err != nil {
			t.Fatal(err)
		}
		for view, output := range outputs {
			real.stdout.Reset()
			if code := real.run("map", output, filepath.Join(source, image)); code != 0 {
				t.Fatalf("map %s: %s", image, real.stderr.String())
			}
			file := filepath.Join(copies, image+view)
			writeAt(t, file, map[int64]string{0: real.stdout.String()})
			if err := os.Chmod(file, info.Mode()&0o644); err != nil {
				t.Fatal(err)
			}
			newest := info.ModTime()
			if st := info.Sys().(*syscall.Stat_t); time.Unix(st.Ctim.Unix()).After(newest) {
				newest = time.Unix(st.Ctim.Unix())
			}
			if err := os.Chtimes(file, newest, newest); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(copies, "hollow/er"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// useTree runs a script over a tree; the result is all that it printed and the files that it wrote.
func useTree(t *testing.T, script, tree, copies string) string {
	t.Helper()
	work, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	result := strings.ReplaceAll(bash(t, script, "M="+tree, "R="+copies, "W="+work), tree, "$M")
	for _, name := range filesBelow(t, work) {
		file := filepath.Join(work, name)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		}
		result += fmt.Sprintf("== %s %d %x\n", name, len(data), sha256.Sum256(data))
	}
	return result
}

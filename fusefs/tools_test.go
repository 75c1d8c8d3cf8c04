package fusefs

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"instarfs/fusefs/view"
	"instarfs/needs"
)

// toolPackages says which Debian package has a program that the table below uses.
var toolPackages = map[string]string{
	"bsdtar": "libarchive-tools", "busybox": "busybox-static", "cpio": "cpio", "curl": "curl",
	"cmp":  "diffutils",
	"file": "file", "git": "git", "jq": "jq", "less": "less", "perl": "perl", "python3": "python3",
	"rg":    "ripgrep",
	"rsync": "rsync", "scp": "openssh-client", "script": "bsdutils", "strings": "binutils",
	"tar": "tar", "vim": "vim",
	"xxd": "xxd", "xz": "xz-utils", "zip": "zip", "zstd": "zstd", "find": "findutils",
}

// tools are ways of reading files that differ in the system calls they use and in what they make of
// st_size. They run in a shell with $M, a directory that holds the files, $W, an empty one, and $R,
// plain copies of the files. Each has to do the same to the mount as to the copies.
var tools = []string{
	`cat $M/*`,
	`for f in $M/*; do cat "$f" > $W/out; cat $W/out; done`,
	`busybox cat $M/*`,
	`dd if=$M/b.img.map.json bs=1M status=none`,
	`dd if=$M/b.img.map.json bs=4096 skip=2 count=3 status=none`,
	`head -c 100 $M/b.img.map.json; head -c -50 $M/a.img.map.json; head -n 3 $M/b.img.map.txt; head -n -3 $M/b.img.map.txt`,
	`tail -c 100 $M/b.img.map.json; tail -n 3 $M/b.img.map.txt; tail -c +150 $M/a.img.map.txt`,
	`busybox head -c 70 $M/a.img.map.txt; busybox tail -n 2 $M/b.img.map.json; busybox tail -c 7 $M/a.img.map.json`,
	`tac $M/b.img.map.txt`,
	`wc $M/*.img.map.json | sed s,$M,,`,
	`wc -c < $M/b.img.map.json`,
	`grep -c b.map $M/*.json | sed s,$M,,`,
	`cd $M && grep -r a.map .| sort`,
	`cd $M && rg --sort path -c b.map`,
	`cd $M && rg --sort path --mmap b.map | head -20`,
	`sort $M/b.img.map.json | uniq -c`,
	`sort -m $M/a.img.map.txt $M/b.img.map.txt | head -50`,
	`sed -n '$p' $M/*.txt; awk 'END { print NR }' $M/b.img.map.json; od -c $M/a.img.map.json; xxd $M/a.img.map.txt`,
	`cd $M && sha256sum * && md5sum *`,
	`gzip -c $M/b.img.map.json | gzip -d | sha256sum; xz -0c $M/b.img.map.txt | xz -d | sha256sum; zstd -qc $M/b.img.map.txt | zstd -d`,
	`cd $M && zip -q $W/z.zip *.json && cd $W && python3 -m zipfile -e z.zip . && rm z.zip`,
	`strings $M/a.img.map.json`,
	`split -n 3 $M/b.img.map.json $W/part`,
	`less $M/a.img.map.json | cat; less -f $M/b.img.map.txt | wc -c`,
	`vim -es -u NONE -c 'w! '$W/copy -c q $M/a.img.map.json`,
	`curl -s file://$M/a.img.map.txt`,
	`scp -q $M/a.img.map.json $M/b.img.map.txt $W/`,
	`jq -R . $M/a.img.map.json`,
	`bash -c 'x=$(<$M/b.img.map.json); echo "$x"; mapfile -t y < $M/a.img.map.json; echo "${#y[@]}"'`,
	`perl -e 'for (@ARGV) { print -s $_, "\n"; open F, $_; sysread F, $x, -s $_; print $x }' $M/*`,
	`for f in $M/*; do file -b $f; done`,

	`cp $M/* $W/`,
	`cp -r $M $W/tree && chmod -R u+w $W`,
	`cp -a $M/. $W/ && chmod -R u+w $W`,
	`cp --sparse=always $M/b.img.map.json $W/; cp --reflink=auto $M/a.img.map.json $W/`,
	`busybox cp $M/* $W/`,
	`install -m 644 $M/*.txt $W/`,
	`mv_() { cat $1 > $2; }; mv_ $M/b.img.map.json $W/b`,
	`tar -cf $W/t.tar -C $M . && tar -xf $W/t.tar -C $W && chmod -R u+w $W && rm $W/t.tar`,
	`tar -c -C $M . | tar -x -C $W && chmod -R u+w $W`,
	`bsdtar -cf $W/t.tar -C $M . && tar -xf $W/t.tar -C $W && chmod -R u+w $W && rm $W/t.tar`,
	`busybox tar -cf $W/t.tar -C $M . && tar -xf $W/t.tar -C $W && chmod -R u+w $W && rm $W/t.tar`,
	`cd $M && find . -type f | cpio --quiet -o > $W/c && cd $W && cpio --quiet -id < c && rm c`,
	`cd $M && find . -type f | cpio --quiet -pd $W`,
	`cd $M && find . -type f | busybox cpio -o -H newc 2>/dev/null > $W/c && cd $W && cpio --quiet -id < c && rm c`,
	`rsync -a $M/ $W/ && rsync -ai $M/ $W/ && rsync -aci $M/ $W/ && chmod -R u+w $W`,
	`head -c 60 $M/a.img.map.json > $W/a.img.map.json; rsync --append $M/a.img.map.json $W/`,
	`rsync -n --list-only $M/*.json | awk '{ print $2, $5 }'`,

	`cmp $M/b.img.map.json $R/b.img.map.json; cmp -s $M/b.img.map.txt $R/b.img.map.txt; echo $?`,
	`cd $R && cmp $M/b.img.map.json b.img.map.txt`,
	`diff $M/a.img.map.json $R/a.img.map.txt; diff -q $M/b.img.map.json $R/b.img.map.json; echo $?`,
	`diff -r $M $R; diff -rq $M $R; echo $?`,
	`git diff --no-index --stat $R $M; echo $?`,
	`cd $M && git hash-object *`,
	`git init -q $W && cd $W && git --work-tree=$M add . && git ls-files -s && rm -rf $W/.git`,

	`ls -l $M | awk '{ print $5, $9 }'`,
	`ls --color $M | sed "s/\x1b[^m]*m//g"; ls -p $M; ls -sS $M | awk 'NR > 1 { print $2 }'`,
	`cd $M && stat -c '%s %n' *`,
	`cd $M && du -b * && du -k * | awk '{ print ($1 > 0), $2 }'`,
	`cd $M && find . -type f -size +100k | sort; find . -type f -size -2 | sort; find . -type f -empty`,
	`cd $M && find . -type f -printf '%s %p\n' | sort`,
	`cd $M && find . -name '*.json' | sort`,
	`for f in $M/*; do test -s $f && test -f $f && test -r $f && echo ok; done`,

	`python3 -c 'import sys; [sys.stdout.buffer.write(open(f, "rb").read()) for f in sys.argv[1:]]' $M/*`,
	`python3 -c 'import sys, os; [sys.stdout.buffer.write(open(f, "rb", 0).read(os.path.getsize(f))) for f in sys.argv[1:]]' $M/*`,
	`python3 -c 'import sys, shutil; shutil.copy(sys.argv[1], sys.argv[2]); shutil.copytree(sys.argv[3], sys.argv[2] + "/t")' $M/b.img.map.json $W $M && chmod -R u+w $W`,
	`python3 -c 'import sys, mmap; sys.stdout.buffer.write(mmap.mmap(open(sys.argv[1], "rb").fileno(), 0, prot=mmap.PROT_READ))' $M/b.img.map.txt`,
	`python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1], "w").add(sys.argv[2], "m")' $W/t.tar $M && tar -xf $W/t.tar -C $W && chmod -R u+w $W && rm $W/t.tar`,
	`for i in 1 2 3 4 5 6 7 8 9 10; do cat $M/b.img.map.json | sha256sum & done; wait`,
	`for r in cat read mmap-stat mmap-fstat mmap-private sendfile splice copy seek-end pread; do $CLIENT $r $M/a.img.map.json $M/b.img.map.txt $M/c.img.map.json; done`,
}

// toolImages are small, larger than any first read, and an exact number of pages.
var toolImages = map[string]int64{"a.img": 177, "b.img": 297000, "c.img": 8192}

// TestTools is the table of ways to read a file, each in a mount that knows nothing yet, after ls
// -l, and when all is known.
func TestTools(t *testing.T) {
	for program, pkg := range toolPackages {
		needs.Program(t, program, pkg)
	}
	root, copies := t.TempDir(), t.TempDir()
	src := fakeSourceAt(root, 0)
	for name, size := range toolImages {
		src.put(t, name, name[:1], size)
	}
	plainCopies(t, src, copies)
	for i, script := range tools {
		t.Run(fmt.Sprintf("%02d", i), func(t *testing.T) {
			t.Parallel()
			want := useTool(t, script, copies, copies)
			for _, state := range []struct{ name, before string }{
				{"cold", "true"}, {"after ls -l", "ls -l $M >$W/ls && rm $W/ls"},
				{"warm", "cat $M/* >$W/cat && rm $W/cat"},
			} {
				m := mountFake(t, fakeSourceAt(root, 10*time.Millisecond), nil)
				useTool(t, state.before, m.dir, copies)
				if got := useTool(t, script, m.dir, copies); got != want {
					t.Errorf("%s: %s\nprints or writes %s\n           want %s", state.name, script,
						abridged(got), abridged(want))
				}
				if err := m.unmount(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// plainCopies writes the views of all images of src as plain files with the attributes that the
// mount shows.
func plainCopies(t *testing.T, src *fakeSource, copies string) {
	t.Helper()
	for name, size := range toolImages {
		info, err := os.Stat(filepath.Join(src.root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range view.Listed {
			file := filepath.Join(copies, name+v.String())
			if err := os.WriteFile(file, fakeContent(name[:1], int(size), v), 0640); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// useTool runs a script over the files in dir; the result is all that it printed and wrote.
func useTool(t *testing.T, script, dir, copies string) string {
	t.Helper()
	work := t.TempDir()
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TERM=dumb", "HOME="+work, "M="+dir, "W="+work, "R="+
		copies, "CLIENT="+os.Args[0])
	cmd.Env = append(cmd.Env, clientEnv...)
	out, err := cmd.CombinedOutput()
	result := strings.ReplaceAll(string(out), dir, "$M")
	if err != nil {
		result += "\n" + err.Error()
	}
	err = filepath.WalkDir(work, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		result += fmt.Sprintf("\n== %s %q", strings.TrimPrefix(path, work), data)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return result
}

func abridged(s string) string {
	if len(s) > 400 {
		return fmt.Sprintf("%q... (%d bytes)", s[:400], len(s))
	}
	return fmt.Sprintf("%q", s)
}

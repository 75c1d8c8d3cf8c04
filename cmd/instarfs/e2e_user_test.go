package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"instarfs/needs"
)

// nobody mounts in TestMountOfAnOrdinaryUser.
const nobody = 65534

// TestMountOfAnOrdinaryUser: who is not root mounts too, copies what he mounted, and removes the
// copy. With --allow-other others get what everybody may read, for the mount can ask for nobody but
// its own user.
func TestMountOfAnOrdinaryUser(t *testing.T) {
	needs.FUSE(t)
	needs.Qemu(t)
	source, dir, work := t.TempDir(), t.TempDir(), t.TempDir()
	for _, d := range []string{source, dir, work} {
		openTo(t, d)
	}
	out := bash(t, `set -e; cd $S; mkdir priv; for f in open closed list priv/p; do qemu-img create -q -f qcow2 $f.qcow2 1M; chmod 644 $f.qcow2; done
		chmod 600 closed.qcow2; chmod 700 priv; ln -s priv/p.qcow2 link.qcow2; chown -hR $U:$U . $M $W; setfacl -m u:$ANN:- list.qcow2`,
		"S="+source, "M="+dir, "W="+work, fmt.Sprintf("U=%d", nobody), fmt.Sprintf("ANN=%d", ann))
	if out != "" {
		t.Fatal(out)
	}
	// The devices and /etc/fuse.conf are as packages make them, for this mount name space only.
	script := `set -e; cd $W; mknod -m 666 fuse c 10 229; echo user_allow_other >conf; mount --bind fuse /dev/fuse; mount --bind conf /etc/fuse.conf
		as() { setpriv --reuid=$1 --regid=$1 --clear-groups "${@:2}"; }
		as $U "$TOOL" mount --allow-other $S $M 2>log & P=$!
		for i in $(seq 200); do grep -q mounted log && break; sleep 0.05; done
		for f in open closed list priv/p link; do for u in $U $ANN; do
			as $u cat $M/$f.qcow2.map.json >/dev/null 2>&1 && echo "$f $u" || true; done; done
		as $U mkdir copy; as $U cp -r $M copy/c && as $U cp -r $M/. copy/c && as $U rm -rf copy && echo copied
		as $U fusermount3 -u $M; wait $P; echo status $?`
	cmd := exec.Command("unshare", "-m", "bash", "-c", script)
	tool := child(walkedChild)
	cmd.Env = append(tool.Env, "S="+source, "M="+dir, "W="+work, fmt.Sprintf("U=%d", nobody),
		fmt.Sprintf("ANN=%d", ann), "TOOL="+os.Args[0])
	got, err := cmd.CombinedOutput()
	want := fmt.Sprintf("open %d\nopen %d\nclosed %d\nlist %d\npriv/p %d\nlink "+
		"%d\ncopied\nstatus 0\n", nobody, ann, nobody, nobody, nobody, nobody)
	if err != nil || string(got) != want {
		log, _ := os.ReadFile(work + "/log")
		t.Errorf("%v: %s\nwant %s\nlog: %s", err, got, want, strings.TrimSpace(string(log)))
	}
}

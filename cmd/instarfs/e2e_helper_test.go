package main

import (
	"os"
	"testing"

	"instarfs/needs"
)

// helped runs a script in a mount namespace of its own, in which mount(8) finds this program as a
// helper. $S is a directory with the image a.qcow2, $M an empty one, $W a place for files.
func helped(t *testing.T, script string) string {
	t.Helper()
	needs.FUSE(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const prepare = `
set -u
mkdir $W/sbin
cp -a /sbin/mount.fuse* $W/sbin
ln -s $PROGRAM $W/sbin/mount.instarfs
ln -s $PROGRAM $W/sbin/instarfs
mount --make-rprivate /
mount --bind $W/sbin /sbin
export PATH=/sbin:$PATH
mounted() { awk -v m=$M '$2 == m {print $1, $3, $4}' /proc/self/mounts; }
`
	s := prepare + script
	return bash(t, `exec unshare --mount bash -c "$SCRIPT"`, "SCRIPT="+s, "PROGRAM="+program,
		"S="+smallSource(t), "M="+t.TempDir(), "W="+t.TempDir(), asChild+"="+realChild)
}

// TestMountHelper mounts as mount(8), fstab(5) and FUSE file systems do.
func TestMountHelper(t *testing.T) {
	const use = `
	echo "status $?"
	head -c 11 $M/a.qcow2.map.json
	echo
	mounted | sed "s#$S#SOURCE#; s/,relatime.*//"
	umount $M
	`
	const works = "status 0\n[{ \"start\":\nSOURCE fuse.instarfs ro,nosuid,nodev,noexec\n"
	for _, how := range []string{
		"mount -t instarfs $S $M",
		"mount -t fuse.instarfs $S $M",
		"mount -t instarfs -v $S $M >/dev/null",
		"mount -t instarfs -o ro,noatime,nofail,_netdev,x-systemd.automount,user,cache_bytes=64M," +
			"max-depth=3 $S $M",
		"mount.instarfs $S $M -o rw,dev,suid",
		"mount.instarfs -s -o rw,somebody_elses=1 $S $M",
		"instarfs $S $M",
		"instarfs $S $M -o default_permissions,allow_other",
		"instarfs -s -o ro $S $M",
		"cd $S/..; instarfs mount --background $(basename $S) $M",
		"echo \"$S $M instarfs ro,noauto 0 0\" >$W/fstab; mount -T $W/fstab $M",
		"echo \"instarfs#$S $M fuse ro 0 0\" >$W/fstab; mount -T $W/fstab $M",
		"echo \"$S $M fuse.instarfs defaults 0 0\" >$W/fstab; mount -T $W/fstab -a",
	} {
		if got := helped(t, how+use); got != works {
			t.Errorf("%s:\n%s", how, got)
		}
	}
}

// TestMountHelperFailures: what went wrong is said, and nothing is mounted, and nothing left.
func TestMountHelperFailures(t *testing.T) {
	const see = " (see 'instarfs mount --help')\n"
	for how, want := range map[string]string{
		"mount -t instarfs /nowhere $M": "instarfs: open directory /nowhere: no such file or " +
			"directory\nstatus 32\n",
		"mount -t fuse.instarfs /nowhere $M": "instarfs: open directory /nowhere: no such file " +
			"or directory\nstatus 1\n",
		"mount -t instarfs -o bogus $S $M": "instarfs: mount: -o bogus: unknown mount option" +
			see + "status 1\n",
		"mount.instarfs $S": "instarfs: mount: expecting SOURCE MOUNTPOINT [-o OPTIONS]" + see +
			"status 1\n",
		"mount.instarfs $S $M -o remount": "instarfs: mount: -o remount: a mount of instarfs " +
			"cannot be changed; unmount it, and mount again" + see + "status 1\n",
		"instarfs mount -o rw $S $M": "instarfs: mount: -o rw: a mount of instarfs is read-only; " +
			"leave it out" + see + "status 2\n",
		"instarfs $S $M -o auto_unmount": "instarfs: mount: -o auto_unmount: is not supported; " +
			"when a mount of instarfs ends, however that comes about, the next one at its place " +
			"clears up" + see + "status 2\n",
		"instarfs $S $M -x": "instarfs: mount: unrecognized option '-x'" + see + "status 2\n",
		"instarfs nonsense $M": "instarfs: unknown command 'nonsense' (see 'instarfs --help')\n" +
			"status 2\n",
		"mount.instarfs -f $S $M": "status 0\n",
		"instarfs $S $M -o uid=root": "instarfs: mount: -o uid=root: must be a number from 0 to " +
			"4294967294" + see + "status 2\n",
		"instarfs $S $M -o umask=888": "instarfs: mount: -o umask=888: must be an octal number " +
			"from 0 to 777" + see + "status 2\n",
	} {
		got := helped(t, how+"\necho \"status $?\"\nmounted\n")
		if got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", how, got, want)
		}
	}
}

// TestBackground: a mount in the background holds nothing of who started it, and tells its number.
func TestBackground(t *testing.T) {
	got := helped(t, `
	said=$(mount.instarfs $S $M -o pid_file=$W/pid 2>&1) # which ends when nobody holds the pipe
	echo "said '$said'"
	pid=$(cat $W/pid)
	readlink /proc/$pid/cwd
	for fd in 0 1 2; do readlink /proc/$pid/fd/$fd; done
	awk '{print $6 == $1}' /proc/$pid/stat
	kill -TERM $pid
	while [ -e /proc/$pid ]; do sleep 0.05; done
	mounted
	ls $W/pid 2>&1 | sed "s#$W#W#"
	`)
	want := "said ''\n/\n/dev/null\n/dev/null\n/dev/null\n1\n" +
		"ls: cannot access 'W/pid': No such file or directory\n"
	if got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
}

// TestOverride: what is shown of owners and modes is what an administrator says, and is what the
// kernel goes by.
func TestOverride(t *testing.T) {
	needs.Root(t) // who can become others
	const asNobody = "setpriv --reuid=65534 --regid=65534 --clear-groups "
	for options, want := range map[string]string{
		"allow_other":                   "755 0 0\n600 0 0\n2\n0\n",
		"allow_other,uid=65534":         "755 65534 0\n600 65534 0\n2\n1\n",
		"allow_other,gid=65534":         "755 0 65534\n600 0 65534\n2\n0\n",
		"allow_other,umask=022":         "755 0 0\n644 0 0\n2\n1\n",
		"allow_other,fmask=0337":        "755 0 0\n440 0 0\n2\n0\n",
		"allow_other,dmask=077":         "700 0 0\n600 0 0\n0\n0\n",
		"uid=65534,umask=077":           "700 65534 0\n600 65534 0\n0\n0\n",
		"allow_other,umask=0,fmask=444": "777 0 0\n222 0 0\n2\n0\n",
		"allow_root":                    "755 0 0\n600 0 0\n0\n0\n",
	} {
		got := helped(t, `
		chmod 600 $S/a.qcow2
		chmod 755 $S $M $W $(dirname $S) $(dirname $M)
		instarfs $S $M -o `+options+`
		stat -c '%a %u %g' $M $M/a.qcow2.map.json
		`+asNobody+`ls $M 2>/dev/null | wc -l
		`+asNobody+`cat $M/a.qcow2.map.txt 2>/dev/null | grep -c Offset
		umount $M
		`)
		if got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", options, got, want)
		}
	}
}

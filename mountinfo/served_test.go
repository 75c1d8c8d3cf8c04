package mountinfo

import "testing"

func TestServedByProgram(t *testing.T) {
	table := Parse("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" +
		"30 22 0:40 / /images/net rw - fuse.sshfs host: rw\n" +
		"31 22 0:41 / /media/my\\040disk rw - fuseblk /dev/sdb1 rw\n" +
		"32 22 0:42 / /images/nfs rw - nfs4 host:/ rw\n" +
		"33 31 0:43 / /media/my\\040disk/tmp rw - tmpfs tmpfs rw\n" +
		"34 22 0:44 / /fusectl rw - fusectl fusectl rw\n")
	for dir, want := range map[string]bool{
		"/images": true, "/images/net": true, "/images/net/a": true, "/": true,
		"/images/nfs": false, "/images/network": false, "/media/my disk/x": true,
		"/media/my disk/tmp": false, "/media/my disk/tmp/x": false, "/media/my": false,
		"/fusectl": false, "/home": false,
	} {
		if got := table.servedByProgram(dir); got != want {
			t.Errorf("%s: %v", dir, got)
		}
	}
}

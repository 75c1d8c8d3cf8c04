package gate

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// localTypes are the file systems that ask only a disk or memory, so that a call on one returns. A
// call in place takes a tenth of the time of a call on another goroutine.
var localTypes = map[string]bool{
	"bcachefs": true, "btrfs": true, "devtmpfs": true, "erofs": true, "exfat": true, "ext2": true,
	"ext3": true, "ext4": true, "f2fs": true, "iso9660": true, "jfs": true, "ntfs3": true,
	"ramfs": true, "reiserfs": true, "rootfs": true, "squashfs": true, "tmpfs": true, "udf": true,
	"vfat": true, "xfs": true, "zfs": true,
}

// localAge is how long the table of mounts is used before it is read again: device numbers are
// reused.
const localAge = time.Second

// localDevices are the devices that hold local file systems. A device that the table of mounts does
// not name, such as a subvolume of btrfs, counts as one that may hang.
type localDevices struct {
	mu    sync.Mutex
	known map[uint64]bool
	at    time.Time
}

func (l *localDevices) has(dev uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.at) > localAge {
		// Without the table nothing is local.
		text, _ := os.ReadFile("/proc/self/mountinfo")
		l.known, l.at = parseLocal(string(text)), now
	}
	return l.known[dev]
}

// parseLocal reads a mountinfo, see proc_pid_mountinfo(5).
func parseLocal(mountinfo string) map[uint64]bool {
	known := map[uint64]bool{}
	for line := range strings.SplitSeq(mountinfo, "\n") {
		// 36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/root rw
		before, after, ok := strings.Cut(line, " - ")
		where := strings.Split(before, " ")
		kind, _, _ := strings.Cut(after, " ")
		if !ok || len(where) < 3 {
			continue
		}
		major, minor, _ := strings.Cut(where[2], ":")
		a, errA := strconv.ParseUint(major, 10, 32)
		b, errB := strconv.ParseUint(minor, 10, 32)
		if errA == nil && errB == nil {
			known[unix.Mkdev(uint32(a), uint32(b))] = localTypes[kind]
		}
	}
	return known
}

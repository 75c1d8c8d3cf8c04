package caller

import (
	"bufio"
	"bytes"
	"strconv"
	"strings"
)

// Capabilities of threads to which permissions to read do not apply, see capabilities(7): bit n is
// capability n.
const (
	capDACOverride   = 1 << 1
	capDACReadSearch = 1 << 2
)

// rights are a thread's rights to files.
type rights struct {
	fsuid, fsgid uint32
	groups       []uint32
	capEff       uint64
}

// parseRights reads a /proc/TID/status, see proc_pid_status(5). Uid and Gid have four numbers:
// real, effective, saved, and the one for files.
func parseRights(status []byte) (r rights, ok bool) {
	const all = 1<<4 - 1
	found := 0
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch name {
		case "Uid", "Gid":
			ids, ok := parseIDs(value)
			if !ok || len(ids) != 4 {
				return rights{}, false
			}
			if name == "Uid" {
				r.fsuid = ids[3]
				found |= 1
			} else {
				r.fsgid = ids[3]
				found |= 2
			}
		case "Groups":
			var ok bool
			if r.groups, ok = parseIDs(value); !ok {
				return rights{}, false
			}
			found |= 4
		case "CapEff":
			n, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			if err != nil {
				return rights{}, false
			}
			r.capEff = n
			found |= 8
		}
	}
	return r, found == all
}

func parseIDs(text string) (ids []uint32, ok bool) {
	for _, word := range strings.Fields(text) {
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return nil, false
		}
		ids = append(ids, uint32(n))
	}
	return ids, true
}

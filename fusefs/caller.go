package fusefs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Caller is who makes a request, as far as the permissions of files are concerned.
type Caller struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups
	Known    bool     // these are all groups of the caller
}

// is reports whether two callers are the same to the permissions of files.
func (c *Caller) is(d *Caller) bool {
	if c == nil || d == nil {
		return c == d
	}
	return c.UID == d.UID && c.GID == d.GID && c.Known == d.Known && slices.Equal(c.Groups, d.Groups)
}

// caller returns who makes the request of ctx. It is nil, who may see everything, for who mounted,
// for those to whom permissions do not matter, and for what the mount does by itself. Without
// allow_other the kernel lets nobody else in.
func (t *tree) caller(ctx context.Context) *Caller {
	request, ok := fuse.FromContext(ctx)
	if !t.shared || !ok {
		return nil
	}
	own := os.Geteuid()
	if own != 0 && request.Uid == uint32(own) {
		return nil
	}
	c := &Caller{UID: request.Uid, GID: request.Gid}
	status, err := os.ReadFile(procFile(request.Pid, "status"))
	if request.Pid == 0 || err != nil {
		return c // of another PID namespace
	}
	rights, ok := parseRights(status)
	if !ok || rights.fsuid != c.UID || rights.fsgid != c.GID {
		return c // acts for another, as a file server does: whose groups these are is not known
	}
	if rights.capEff&(capDACOverride|capDACReadSearch) != 0 && sameUserNamespace(request.Pid) {
		return nil
	}
	c.Groups, c.Known = rights.groups, true
	return c
}

// Capabilities that make permissions to read not count, see capabilities(7): bit n is capability n.
const (
	capDACOverride   = 1 << 1
	capDACReadSearch = 1 << 2
)

// rights are those of a thread to files.
type rights struct {
	fsuid, fsgid uint32
	groups       []uint32
	capEff       uint64
}

// parseRights reads a /proc/TID/status, see proc_pid_status(5). Uid and Gid are real, effective,
// saved and that for files.
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

// sameUserNamespace reports whether the capabilities of a thread mean what ours do.
func sameUserNamespace(tid uint32) bool {
	own, err := os.Readlink("/proc/self/ns/user")
	if err != nil {
		return false
	}
	its, err := os.Readlink(procFile(tid, "ns/user"))
	return err == nil && its == own
}

func procFile(tid uint32, name string) string {
	return "/proc/" + strconv.FormatUint(uint64(tid), 10) + "/" + name
}

// mayNot reports whether an error says that somebody lacks a right, rather than that something is
// wrong.
func mayNot(err error) bool {
	e := errnoOf(err)
	return e == syscall.EACCES || e == syscall.EPERM
}

// failsForAll reports whether an error is not about who asks: nobody gets the map.
func failsForAll(err error) bool {
	var e interface{ ForAll() bool }
	return errors.As(err, &e) && e.ForAll()
}

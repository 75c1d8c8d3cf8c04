// Package caller says who makes a request of the mount: with which rights to files, and whether it
// is about to die and need not be waited for. Both come from /proc, because a request names only a
// thread, a user and a group. A thread in a PID namespace that this process does not see counts as
// one with no known groups, and as one that is not waited for after a signal.
package caller

import (
	"context"
	"os"
	"slices"
	"strconv"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Caller is who makes a request, as far as the permissions of files are concerned. Nil is a caller
// who may see everything that this process sees.
type Caller struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups
	Known    bool     // these are all groups of the caller
}

// Is reports whether two callers have the same permissions to files.
func (c *Caller) Is(d *Caller) bool {
	if c == nil || d == nil {
		return c == d
	}
	return c.UID == d.UID && c.GID == d.GID && c.Known == d.Known &&
		slices.Equal(c.Groups, d.Groups)
}

// Of returns who makes the request of ctx. It is nil for the user who mounted, for those to whom
// permissions do not apply, and for work that belongs to no request.
func Of(ctx context.Context) *Caller {
	request, ok := fuse.FromContext(ctx)
	if !ok {
		return nil
	}
	own := os.Geteuid()
	if own != 0 && request.Uid == uint32(own) {
		return nil
	}
	c := &Caller{UID: request.Uid, GID: request.Gid}
	status, err := os.ReadFile(procFile(request.Pid, "status"))
	if request.Pid == 0 || err != nil {
		return c // in another PID namespace
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

// Thread returns the thread that made the request of ctx, or 0 if there is none that has a number
// here.
func Thread(ctx context.Context) uint32 {
	if request, ok := fuse.FromContext(ctx); ok {
		return request.Pid
	}
	return 0
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

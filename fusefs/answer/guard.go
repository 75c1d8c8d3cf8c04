package answer

import (
	"context"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"instarfs/fusefs/logger"
)

// Guard stands between the kernel and the nodes: an answer to a request that they handle carries no
// error number except those that request.answer allows. go-fuse answers requests that they do not
// handle.
type Guard struct {
	fuse.RawFileSystem
	Ending context.Context // done when the mount is being ended
	Log    *logger.Logger  // gets a line for each kind of answer that was changed
}

// check returns the answer to a request, given the answer of the nodes. name is the file that the
// request is about, if it names one.
func (g *Guard) check(cancel <-chan struct{}, kind, name string, got fuse.Status) fuse.Status {
	if got == fuse.OK {
		return got
	}
	r := request{
		open: kind == "OPEN",
		stale: kind == "OPEN" || kind == "GETATTR" || kind == "OPENDIR" || kind == "READDIR" ||
			kind == "READDIRPLUS",
		ending: g.Ending.Err() != nil,
	}
	select {
	case <-cancel:
		r.interrupted = true
	default:
	}
	e := syscall.Errno(got)
	answer := r.answer(e)
	if answer != e {
		what := strings.TrimSpace(kind + " " + name)
		g.Log.Once(what, [2]uint64{uint64(e)},
			what+": "+e.Error()+"; the caller is told: "+answer.Error())
	}
	return fuse.Status(answer)
}

func (g *Guard) Lookup(
	cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut,
) fuse.Status {
	return g.check(cancel, "LOOKUP", name, g.RawFileSystem.Lookup(cancel, in, name, out))
}

func (g *Guard) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return g.check(cancel, "GETATTR", "", g.RawFileSystem.GetAttr(cancel, in, out))
}

func (g *Guard) Readlink(cancel <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	target, status := g.RawFileSystem.Readlink(cancel, in)
	return target, g.check(cancel, "READLINK", "", status)
}

func (g *Guard) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	return g.check(cancel, "ACCESS", "", g.RawFileSystem.Access(cancel, in))
}

func (g *Guard) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return g.check(cancel, "OPEN", "", g.RawFileSystem.Open(cancel, in, out))
}

func (g *Guard) Read(
	cancel <-chan struct{}, in *fuse.ReadIn, buf []byte,
) (fuse.ReadResult, fuse.Status) {
	result, status := g.RawFileSystem.Read(cancel, in, buf)
	return result, g.check(cancel, "READ", "", status)
}

func (g *Guard) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	return g.check(cancel, "LSEEK", "", g.RawFileSystem.Lseek(cancel, in, out))
}

func (g *Guard) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return g.check(cancel, "OPENDIR", "", g.RawFileSystem.OpenDir(cancel, in, out))
}

func (g *Guard) ReadDir(
	cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList,
) fuse.Status {
	return g.check(cancel, "READDIR", "", g.RawFileSystem.ReadDir(cancel, in, out))
}

func (g *Guard) ReadDirPlus(
	cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList,
) fuse.Status {
	return g.check(cancel, "READDIRPLUS", "", g.RawFileSystem.ReadDirPlus(cancel, in, out))
}

func (g *Guard) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return g.check(cancel, "STATFS", "", g.RawFileSystem.StatFs(cancel, in, out))
}

package fusefs

import (
	"context"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// guard stands between the kernel and the nodes: no answer to a request that they handle carries an
// error number but those of request.answer. Requests that they do not handle, go-fuse answers.
type guard struct {
	fuse.RawFileSystem
	ending context.Context // done when the mount is being ended
	log    *logger
}

// check is the answer to a request, given that of the nodes. name is what the request is about, if
// it names anything.
func (g *guard) check(cancel <-chan struct{}, kind, name string, got fuse.Status) fuse.Status {
	if got == fuse.OK {
		return got
	}
	r := request{
		open: kind == "OPEN", again: kind == "OPEN" || kind == "GETATTR",
		ending: g.ending.Err() != nil,
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
		g.log.once(what, Generation{uint64(e)},
			what+": "+e.Error()+"; the caller is told: "+answer.Error())
	}
	return fuse.Status(answer)
}

func (g *guard) Lookup(
	cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut,
) fuse.Status {
	return g.check(cancel, "LOOKUP", name, g.RawFileSystem.Lookup(cancel, in, name, out))
}

func (g *guard) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return g.check(cancel, "GETATTR", "", g.RawFileSystem.GetAttr(cancel, in, out))
}

func (g *guard) Readlink(cancel <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	target, status := g.RawFileSystem.Readlink(cancel, in)
	return target, g.check(cancel, "READLINK", "", status)
}

func (g *guard) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	return g.check(cancel, "ACCESS", "", g.RawFileSystem.Access(cancel, in))
}

func (g *guard) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return g.check(cancel, "OPEN", "", g.RawFileSystem.Open(cancel, in, out))
}

func (g *guard) Read(
	cancel <-chan struct{}, in *fuse.ReadIn, buf []byte,
) (fuse.ReadResult, fuse.Status) {
	result, status := g.RawFileSystem.Read(cancel, in, buf)
	return result, g.check(cancel, "READ", "", status)
}

func (g *guard) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	return g.check(cancel, "LSEEK", "", g.RawFileSystem.Lseek(cancel, in, out))
}

func (g *guard) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return g.check(cancel, "OPENDIR", "", g.RawFileSystem.OpenDir(cancel, in, out))
}

func (g *guard) ReadDir(
	cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList,
) fuse.Status {
	return g.check(cancel, "READDIR", "", g.RawFileSystem.ReadDir(cancel, in, out))
}

func (g *guard) ReadDirPlus(
	cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList,
) fuse.Status {
	return g.check(cancel, "READDIRPLUS", "", g.RawFileSystem.ReadDirPlus(cancel, in, out))
}

func (g *guard) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return g.check(cancel, "STATFS", "", g.RawFileSystem.StatFs(cancel, in, out))
}

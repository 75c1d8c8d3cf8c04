// Package circle lets root into a mount, and one user, as the mount option allow_root means it. The
// kernel knows only the mount's own user and everybody.
package circle

import "github.com/hanwen/go-fuse/v2/fuse"

// New returns a file system that root may use, and the user uid. Others get EACCES.
func New(of fuse.RawFileSystem, uid uint32) fuse.RawFileSystem { return &circle{of, uid} }

type circle struct {
	fuse.RawFileSystem
	uid uint32
}

// keepsOut is the answer to a request by somebody, or fuse.OK if it may go on.
func (c *circle) keepsOut(who *fuse.InHeader) fuse.Status {
	if who.Uid == 0 || who.Uid == c.uid {
		return fuse.OK
	}
	return fuse.EACCES
}

func (c *circle) Lookup(
	cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut,
) fuse.Status {
	if s := c.keepsOut(in); s != fuse.OK {
		return s
	}
	return c.RawFileSystem.Lookup(cancel, in, name, out)
}

func (c *circle) GetAttr(
	cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut,
) fuse.Status {
	if s := c.keepsOut(&in.InHeader); s != fuse.OK {
		return s
	}
	return c.RawFileSystem.GetAttr(cancel, in, out)
}

func (c *circle) Readlink(cancel <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	if s := c.keepsOut(in); s != fuse.OK {
		return nil, s
	}
	return c.RawFileSystem.Readlink(cancel, in)
}

func (c *circle) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	if s := c.keepsOut(&in.InHeader); s != fuse.OK {
		return s
	}
	return c.RawFileSystem.Access(cancel, in)
}

func (c *circle) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s := c.keepsOut(&in.InHeader); s != fuse.OK {
		return s
	}
	return c.RawFileSystem.Open(cancel, in, out)
}

func (c *circle) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s := c.keepsOut(&in.InHeader); s != fuse.OK {
		return s
	}
	return c.RawFileSystem.OpenDir(cancel, in, out)
}

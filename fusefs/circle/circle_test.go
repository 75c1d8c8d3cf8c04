package circle

import (
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// open answers all requests.
type open struct{ fuse.RawFileSystem }

func (open) Lookup(<-chan struct{}, *fuse.InHeader, string, *fuse.EntryOut) fuse.Status {
	return fuse.OK
}
func (open) GetAttr(<-chan struct{}, *fuse.GetAttrIn, *fuse.AttrOut) fuse.Status { return fuse.OK }
func (open) Readlink(<-chan struct{}, *fuse.InHeader) ([]byte, fuse.Status) {
	return nil, fuse.OK
}
func (open) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status               { return fuse.OK }
func (open) Open(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status    { return fuse.OK }
func (open) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.OK }

func TestWhoIsLetIn(t *testing.T) {
	fs := New(open{fuse.NewDefaultRawFileSystem()}, 1000)
	for uid, want := range map[uint32]fuse.Status{
		0: fuse.OK, 1000: fuse.OK, 1: fuse.EACCES, 65534: fuse.EACCES,
	} {
		h := fuse.InHeader{Caller: fuse.Caller{Owner: fuse.Owner{Uid: uid}}}
		_, readlink := fs.Readlink(nil, &h)
		for what, got := range map[string]fuse.Status{
			"lookup":   fs.Lookup(nil, &h, "name", nil),
			"getattr":  fs.GetAttr(nil, &fuse.GetAttrIn{InHeader: h}, nil),
			"readlink": readlink,
			"access":   fs.Access(nil, &fuse.AccessIn{InHeader: h}),
			"open":     fs.Open(nil, &fuse.OpenIn{InHeader: h}, nil),
			"opendir":  fs.OpenDir(nil, &fuse.OpenIn{InHeader: h}, nil),
		} {
			if got != want {
				t.Errorf("%s by user %d: %v, want %v", what, uid, got, want)
			}
		}
	}
}

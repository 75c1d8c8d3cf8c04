package fusefs

import (
	"context"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"instarfs/fusefs/answer"
	"instarfs/fusefs/view"
)

// OnError is what listings show of an image that has no map.
type OnError int

// The values of OnError.
const (
	ShowError   OnError = iota // its views, which cannot be opened
	HideError                  // nothing
	ReportError                // NAME.map.err, with the reason
)

// sift maps the images of a listing, and takes those that have no map out or puts their reasons in
// their place. Who copies a tree then meets no file that cannot be read.
func (d *dir) sift(ctx context.Context, who *Caller, items []item) []item {
	failed := make([]bool, len(items))
	var next atomic.Int64
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) + 1 {
		all.Go(func() {
			for n := next.Add(1) - 1; int(n) < len(items); n = next.Add(1) - 1 {
				if items[n].view != 0 {
					failed[n] = ctx.Err() == nil && d.fails(ctx, who, &items[n])
				}
			}
		})
	}
	all.Wait()
	sifted := items[:0]
	for n, i := range items {
		switch {
		case !failed[n]:
		case d.tree.onError == HideError, len(sifted) > 0 && sifted[len(sifted)-1].path == i.path &&
			sifted[len(sifted)-1].view == view.Reason:
			continue // the views of an image follow each other
		default:
			image, _, _ := view.Split(i.name)
			i.name, i.view, i.mode = image+view.Reason.String(), view.Reason, syscall.S_IFREG
		}
		sifted = append(sifted, i)
	}
	return sifted
}

// fails reports whether a view cannot be made for anybody who may read it. What somebody may not
// read is listed as ls lists it.
func (d *dir) fails(ctx context.Context, who *Caller, i *item) bool {
	image, g := i.path, Generation{}
	if i.info != nil {
		g = i.info.Generation
	}
	if i.info != nil && i.info.Link != "" {
		image = path.Join(d.path, i.info.Link)
	}
	m, g, err := d.tree.mapOf(ctx, who, image, g)
	if err == nil {
		_, err = d.tree.render(image, i.view, m, g)
	}
	return err != nil && !answer.MayNot(err)
}

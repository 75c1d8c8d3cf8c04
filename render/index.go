package render

import (
	"runtime"
	"sync"
)

// blockLen is the number of extents for which the index keeps one position. A read sizes half a
// block on average before it finds its first byte, under a microsecond; the index costs 8 bytes for
// 256 extents, nothing beside the 18 of an extent.
const blockLen = 256

// shareLen is the blocks that make it worth while to have another processor size them: some hundred
// microseconds of work.
const shareLen = 256

// index sizes every row once.
func (r *Rendering) index() {
	blocks := (r.extents + blockLen - 1) / blockLen
	r.pos = make([]int64, blocks+1)
	share := max(shareLen, (blocks+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var others sync.WaitGroup
	for b := share; b < blocks; b += share {
		others.Go(func() { r.measure(b, min(b+share, blocks)) })
	}
	r.measure(0, min(share, blocks))
	others.Wait()
	for b := range blocks {
		r.pos[b+1] += r.pos[b]
	}
}

// measure sizes the blocks [from, to); pos[b+1] is the size of block b then.
func (r *Rendering) measure(from, to int) {
	for b := from; b < to; b++ {
		r.pos[b+1] = r.rows.size(b*blockLen, min((b+1)*blockLen, r.extents))
	}
}

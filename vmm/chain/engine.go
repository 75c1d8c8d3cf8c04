package chain

import (
	"context"
	"errors"
	"sync"

	"instarfs/cache"
	"instarfs/guest/extent"
	"instarfs/vmm/compose"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
	"instarfs/vmm/session"
)

// Runner carries out guest runs: a *vmm.Pool, a *jail.Pool, or what a test puts in its place.
type Runner interface {
	Run(ctx context.Context, job *session.Job) (*session.Layer, error)
}

// Engine maps files. It is safe for concurrent use.
type Engine struct {
	runner Runner
	access Access
	limits Limits
	host   *files.Host
	maps   *cache.Cache[key, kept]
}

// NewEngine returns an Engine that maps files by runs of r, as far as a and l allow. It gives up
// maps that it keeps when l.Memory is full.
func NewEngine(r Runner, a Access, l Limits) *Engine {
	l = l.complete()
	e := &Engine{
		runner: r, access: a, limits: l, host: files.NewHost(a.Policy, l.Call),
		maps: cache.New[key, kept](l.Cache),
	}
	e.limits.Memory.OnFull(e.maps.Evict)
	return e
}

// Host returns the files that e opens.
func (e *Engine) Host() *files.Host { return e.host }

// CacheBytes is how many bytes of maps are kept now.
func (e *Engine) CacheBytes() int64 { return e.maps.Bytes() }

// Kept is what the cache holds, and how it did so far.
type Kept struct {
	cache.Counts
	Bytes, Limit int64
	Maps         int // of files and of chains, and reasons why there is none
}

// Kept returns what e keeps.
func (e *Engine) Kept() Kept {
	return Kept{e.maps.Counts(), e.maps.Bytes(), e.limits.Cache, e.maps.Len()}
}

// Result is a map and what else is known of the image.
type Result struct {
	compose.Result
	members []Member
}

// layer is what the run over one file found. It depends on that file alone, so the layer of a base
// image serves all images above it. It is safe for concurrent use.
type layer struct {
	*session.Layer

	mu     sync.Mutex
	own    *Result // the map of the file as an image, if it refers to no other file
	ownErr error   // why there is none; a layer above may hide that
}

// bytes is the memory that l holds.
func (l *layer) bytes() int {
	if l.own == nil || l.own.Shared {
		return l.Layer.Bytes()
	}
	return l.Layer.Bytes() + l.own.Bytes()
}

// result is the map of a file that refers to no other, under the name that it is asked by.
func (l *layer) result(name string) (*Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ownErr != nil {
		return nil, l.ownErr
	}
	if l.own.Map.Files()[0] != name {
		renamed := *l.own
		// The states stay as they are, so they cannot become equal.
		same := func(s extent.State) extent.State { return s }
		renamed.Map, _ = l.own.Map.Remap([]string{name}, same)
		l.own = &renamed
	}
	return l.own, nil
}

// key identifies what is kept.
type key struct {
	generation Generation
	// name is the name of an image that refers to others: the table view shows it. It is empty for
	// layers.
	name string
}

// kept is a layer, the map of an image that refers to other files, or why there is none.
type kept struct {
	layer  *layer
	result *Result
	failed *failed
}

// load returns what is kept for a key, or what load makes. The error may be one that is kept.
func (e *Engine) load(ctx context.Context, k key, load cache.Loader[kept]) (kept, error) {
	for {
		v, err := e.maps.Load(ctx, k, load)
		switch {
		// Ann starts a run and leaves before it has begun, with the file that it was to read. Bob,
		// who joined the run, starts his own.
		case errors.Is(err, image.ErrClosed):
		case err == nil && v.failed != nil && v.failed.over():
			e.maps.Drop(k)
		case err == nil && v.failed != nil:
			return kept{}, v.failed.err
		default:
			return v, err
		}
	}
}

// failureCost is the memory of a failure that is kept, bytes.
const failureCost = 1 << 10

// keepFailure is what a loader returns for an error. The next try may have more of the time that a
// map may take, unless this loader had nearly all of it.
func keepFailure(err error, hadAll bool) (kept, int, error) {
	if f := lasting(err); f != nil && (hadAll || !errors.Is(err, failure.ErrSlow)) {
		return kept{failed: f}, failureCost, nil
	}
	return kept{}, 0, err
}

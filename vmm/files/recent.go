package files

import (
	"sync"
	"time"
)

// recent remembers for a moment which directories are searchable by all.
type recent struct {
	mu    sync.Mutex
	known map[Place]answer
}

type answer struct {
	open bool
	at   time.Time
}

const (
	// recentAge is how long an answer is used: as long as the kernel keeps what a mount told it.
	recentAge = time.Second
	// maxRecent is how many answers are remembered.
	maxRecent = 4096
)

// load returns what is remembered of a directory, or what ask says.
func (r *recent) load(dir Place, ask func() (bool, error)) (bool, error) {
	now := time.Now()
	r.mu.Lock()
	k, ok := r.known[dir]
	r.mu.Unlock()
	if ok && now.Sub(k.at) < recentAge {
		return k.open, nil
	}
	open, err := ask()
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= maxRecent {
		r.known = map[Place]answer{}
	}
	r.known[dir] = answer{open, now}
	return open, nil
}

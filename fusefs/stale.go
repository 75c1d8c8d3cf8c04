package fusefs

import (
	"context"
	"sync"
	"time"

	"instarfs/fusefs/caller"
)

const (
	// staleMemory is how long an ESTALE answer counts as the one just before: far longer than the VFS needs to come back,
	// also when the machine has much else to do.
	staleMemory = 10 * time.Second
	// stalePrune is how many answers are remembered before the old ones are thrown out.
	stalePrune = 1024
)

// stale remembers which threads were just told ESTALE. The VFS hides one such answer from the caller by looking the name
// up again; a second in a row would reach the program.
type stale struct {
	mu   sync.Mutex
	told map[staleKey]time.Time
}

type staleKey struct {
	tid   uint32
	image string
	view  View
}

// take reports whether the answer before this request of the caller was ESTALE, and forgets it.
func (s *stale) take(ctx context.Context, image string, v View) bool {
	key := staleKey{caller.Thread(ctx), image, v}
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.told[key]
	delete(s.told, key)
	return ok && time.Since(last) < staleMemory
}

// note notes that the request in ctx is answered with ESTALE. It reports false, and nothing may be answered so, when the
// caller cannot be told from others.
func (s *stale) note(ctx context.Context, image string, v View) bool {
	key := staleKey{caller.Thread(ctx), image, v}
	if key.tid == 0 {
		return false
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.told) >= stalePrune {
		for k, t := range s.told {
			if now.Sub(t) >= staleMemory {
				delete(s.told, k)
			}
		}
	}
	s.told[key] = now
	return true
}

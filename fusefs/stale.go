package fusefs

import (
	"context"
	"sync"
	"time"
)

const (
	// staleMemory is how long an ESTALE answer counts as the one just before: far longer than the VFS needs to come back.
	staleMemory = time.Second
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

// answer reports whether the request in ctx may be answered with ESTALE, and notes that it is.
func (s *stale) answer(ctx context.Context, image string, v View) bool {
	key := staleKey{callerOf(ctx), image, v}
	if key.tid == 0 {
		return false
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.told[key]
	if ok && now.Sub(last) < staleMemory {
		delete(s.told, key)
		return false
	}
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

// forget notes that the request in ctx was answered with something else.
func (s *stale) forget(ctx context.Context, image string, v View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.told, staleKey{callerOf(ctx), image, v})
}

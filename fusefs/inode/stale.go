package inode

import (
	"sync"
	"time"
)

const (
	// staleMemory is how long an ESTALE counts as the answer just before: far longer than the VFS
	// needs to come back, even if the machine has much else to do.
	staleMemory = 10 * time.Second
	// stalePrune is how many answers are remembered before the old ones are thrown out.
	stalePrune = 1024
)

// Stale remembers which requests were just answered with ESTALE. The VFS hides one such answer from
// the program by looking the name up again; a second in a row would reach the program. It is safe
// for concurrent use; the zero value remembers nothing.
type Stale struct {
	mu       sync.Mutex
	answered map[StaleKey]time.Time
}

// StaleKey is a thread that opens a view of a file.
type StaleKey struct {
	Thread uint32 // 0 if it has no number here
	File   string
	View   byte
}

// Take reports whether the answer before this request was ESTALE, and forgets it.
func (s *Stale) Take(key StaleKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.answered[key]
	delete(s.answered, key)
	return ok && time.Since(last) < staleMemory
}

// Note notes that the request is answered with ESTALE. If it returns false, the thread cannot be
// recognised, and the answer must be another.
func (s *Stale) Note(key StaleKey) bool {
	if key.Thread == 0 {
		return false
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answered) >= stalePrune {
		for k, t := range s.answered {
			if now.Sub(t) >= staleMemory {
				delete(s.answered, k)
			}
		}
	}
	if s.answered == nil {
		s.answered = map[StaleKey]time.Time{}
	}
	s.answered[key] = now
	return true
}

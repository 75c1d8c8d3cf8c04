package session

import "sync"

// Shelf hands over guests that wait for a run. It is safe for concurrent use.
type Shelf[G any] struct {
	ready chan *G // nil stands for a guest that did not come to be

	mu     sync.Mutex // guards what follows
	coming int        // guests in ready, or on their way there, that nobody has claimed
	asked  bool       // Take was called
	closed bool
}

// NewShelf makes a Shelf for n guests.
func NewShelf[G any](n int) *Shelf[G] { return &Shelf[G]{ready: make(chan *G, n)} }

// Len is how many guests wait, those included that did not come to be.
func (s *Shelf[G]) Len() int { return len(s.ready) }

// Promise announces a guest, unless enough are waiting or on their way already, or the shelf was
// closed. The caller must then call Put, for which there is room.
func (s *Shelf[G]) Promise() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.promise()
}

func (s *Shelf[G]) promise() bool {
	if s.closed || s.coming == cap(s.ready) {
		return false
	}
	s.coming++
	return true
}

// PromiseFirst is Promise, unless somebody has called Take, who has made a guest himself then.
func (s *Shelf[G]) PromiseFirst() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked {
		return false
	}
	return s.promise()
}

// Put keeps the guest that was promised, or nil if there is none after all.
func (s *Shelf[G]) Put(g *G) { s.ready <- g }

// Take returns a guest that waits, or one that is on its way, once it is there. It returns nil if
// there is none, and ErrClosed if the shelf was closed.
func (s *Shelf[G]) Take() (*G, error) {
	s.mu.Lock()
	closed, claim := s.closed, s.coming > 0
	s.asked = true
	if claim {
		s.coming--
	}
	s.mu.Unlock()
	switch {
	case closed:
		return nil, ErrClosed
	case claim:
		return <-s.ready, nil
	}
	return nil, nil
}

// Closed reports whether Close was called.
func (s *Shelf[G]) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Close hands every guest that nobody has claimed to end. Later calls do nothing, and return false.
func (s *Shelf[G]) Close(end func(*G)) bool {
	s.mu.Lock()
	unclaimed, closed := s.coming, s.closed
	s.coming, s.closed = 0, true
	s.mu.Unlock()
	if closed {
		return false
	}
	for range unclaimed {
		if g := <-s.ready; g != nil {
			end(g)
		}
	}
	return true
}

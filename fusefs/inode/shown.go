package inode

import (
	"io"
	"sync"
)

// Content is what an inode can show. Equal contents have equal bytes.
type Content interface {
	Size() int64 // in bytes
	io.ReaderAt
}

// Shown is the content that an inode shows, shared by all of its open handles. The pages that the
// kernel keeps belong to the inode, not to a handle, so the content may only change while no handle
// is open, and the kernel must drop the old pages before anybody reads.
//
// The content changes when a program opens the inode again although its image has changed and the
// VFS cannot look the name up: the file is bind mounted, or was reached by O_PATH.
//
// It is safe for concurrent use; the zero value is an inode without handles.
type Shown struct {
	mu      sync.Mutex
	handles int     // open ones
	content Content // nil while no handle is open
	drop    bool    // the kernel may keep pages of another content
}

// Join returns the content of the open handles, for one more, or nil if there are none. If it
// returns a content, the caller must call Leave.
func (s *Shown) Join() Content {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handles > 0 {
		s.handles++
	}
	return s.content
}

// Open reports whether a handle is open.
func (s *Shown) Open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handles > 0
}

// Begin returns the content for one more handle, for which the caller must call Leave: the content
// of the open handles, or else c. In that case bind makes c the content of the inode, and reports
// whether the inode had another before.
func (s *Shown) Begin(c Content, bind func() (changed bool)) Content {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handles == 0 {
		s.content = c
		s.drop = bind() || s.drop
	}
	s.handles++
	return s.content
}

// Clean calls drop if the kernel may keep pages of another content. No lock is held meanwhile, so
// two handles may call it at the same time; for each, the pages are gone before it reads.
func (s *Shown) Clean(drop func()) {
	s.mu.Lock()
	needed := s.drop
	s.mu.Unlock()
	if !needed {
		return
	}
	drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop = false
}

// Leave must be called once for each handle, when it is closed or if it was not handed out.
func (s *Shown) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handles--
	if s.handles == 0 {
		s.content = nil
	}
}

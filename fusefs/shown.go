package fusefs

import "sync"

// shown is the content that an inode shows, shared by all of its open handles. The pages that the
// kernel keeps belong to the inode, not to a handle, so the content may only change while no handle
// is open, and the kernel must drop the old pages before anybody reads.
//
// The content changes when a program opens the inode again although its image has changed and the
// VFS cannot look the name up: the file is bind mounted, or was reached by O_PATH.
type shown struct {
	mu      sync.Mutex
	handles int       // open ones
	content Rendering // nil while no handle is open
	// drop is set while the kernel may keep pages of another content.
	drop bool
}

// join returns the content of the handles that are open, for one more, or nil when there is none.
// A content that was returned must be left.
func (s *shown) join() Rendering {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handles > 0 {
		s.handles++
	}
	return s.content
}

// open reports whether a handle is open.
func (s *shown) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handles > 0
}

// begin returns the content for one more handle, which must be left: r, or what the handles that
// are open show. When it is r, bind makes it the content of the inode, and reports whether the
// inode had another before.
func (s *shown) begin(r Rendering, bind func() (changed bool)) Rendering {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handles == 0 {
		s.content = r
		s.drop = bind() || s.drop
	}
	s.handles++
	return s.content
}

// clean has drop called if the kernel may keep pages of another content. No lock is held meanwhile,
// so two handles may do that at the same time; each is sure that it was done before it reads.
func (s *shown) clean(drop func()) {
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

// leave is called once for each handle, when it is closed or was not answered.
func (s *shown) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handles--
	if s.handles == 0 {
		s.content = nil
	}
}

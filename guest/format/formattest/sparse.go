package formattest

import (
	"os"
	"testing"
)

// Sparse is a large file of which only a few pages are not zero.
type Sparse struct {
	Size  uint64 // Put makes it larger where it has to
	pages map[uint64]*[sparsePage]byte
}

const sparsePage = 4096

// Put writes b at off.
func (s *Sparse) Put(off uint64, b []byte) {
	s.Size = max(s.Size, off+uint64(len(b)))
	for len(b) > 0 {
		i := off / sparsePage
		if s.pages == nil {
			s.pages = map[uint64]*[sparsePage]byte{}
		}
		if s.pages[i] == nil {
			s.pages[i] = new([sparsePage]byte)
		}
		n := copy(s.pages[i][off%sparsePage:], b)
		b, off = b[n:], off+uint64(n)
	}
}

// ReadAt is of io.ReaderAt. Everything behind the end is zero, too.
func (s *Sparse) ReadAt(b []byte, off int64) (int, error) {
	n := len(b)
	for at := uint64(off); len(b) > 0; {
		p := s.pages[at/sparsePage]
		if p == nil {
			p = new([sparsePage]byte)
		}
		k := copy(b, p[at%sparsePage:])
		b, at = b[k:], at+uint64(k)
	}
	return n, nil
}

// Bytes are n bytes at off.
func (s *Sparse) Bytes(off uint64, n int) []byte {
	b := make([]byte, n)
	s.ReadAt(b, int64(off)) // never fails
	return b
}

// Device is a device of the file.
func (s *Sparse) Device() *Device { return NewDevice(s, s.Size) }

// WriteFile makes a file of it.
func (s *Sparse) WriteFile(tb testing.TB, path string) {
	tb.Helper()
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for i, p := range s.pages {
		if _, err := f.WriteAt(p[:], int64(i*sparsePage)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := f.Truncate(int64(s.Size)); err != nil {
		tb.Fatal(err)
	}
}

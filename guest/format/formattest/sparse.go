package formattest

import (
	"os"
	"testing"
)

// Sparse is a large file in memory with a few pages that are not zero.
type Sparse struct {
	Size  uint64 // bytes; Put makes it larger when it writes past the end
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

// ReadAt implements io.ReaderAt. Bytes past the end are zero.
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

// WriteAt implements io.WriterAt.
func (s *Sparse) WriteAt(b []byte, off int64) (int, error) {
	s.Put(uint64(off), b)
	return len(b), nil
}

// Bytes returns n bytes from off on.
func (s *Sparse) Bytes(off uint64, n int) []byte {
	b := make([]byte, n)
	s.ReadAt(b, int64(off)) // never fails
	return b
}

// Device returns a device that reads the file.
func (s *Sparse) Device() *Device { return NewDevice(s, s.Size) }

// WriteFile writes the file to path. Pages that are zero stay holes.
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

// hostBlock is the size of a block of most file systems, in bytes.
const hostBlock = 4 << 10

var zeroes [hostBlock]byte

// WriteSparse calls put for each block of b that is not all zeroes, with its offset in b. It
// stops at the first error, which it returns.
func WriteSparse(b []byte, put func(off int64, b []byte) error) error {
	for off := 0; off < len(b); off += hostBlock {
		block := b[off:min(off+hostBlock, len(b))]
		if string(block) == string(zeroes[:len(block)]) {
			continue
		}
		if err := put(int64(off), block); err != nil {
			return err
		}
	}
	return nil
}

package space

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
)

var le = binary.LittleEndian

// Memory is the guest's RAM, from guest-physical address 0, and what the host knows of its
// pages. It is used by the one goroutine that runs the machine.
type Memory struct {
	Bytes []byte
	file  int // what b maps
	// Host are the pages that the host changed. KVM's log has only the guest's own writes.
	Host Bitmap
	// Constant are the pages of the program that it cannot write.
	Constant Bitmap
}

// NewMemory makes memory of n bytes, a whole number of pages, all zero.
func NewMemory(n int) (*Memory, error) {
	file, err := unix.MemfdCreate("guest memory", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create for guest memory: %w", err)
	}
	m := &Memory{file: file, Host: NewBitmap(n / PageLen), Constant: NewBitmap(n / PageLen)}
	if err := unix.Ftruncate(file, int64(n)); err != nil {
		m.Close()
		return nil, fmt.Errorf("guest memory of %d bytes: %w", n, err)
	}
	m.Bytes, err = unix.Mmap(file, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("mmap of %d bytes of guest memory: %w", n, err)
	}
	// What images hold must not reach a core dump of this program.
	if err := unix.Madvise(m.Bytes, unix.MADV_DONTDUMP); err != nil {
		m.Close()
		return nil, fmt.Errorf("keep guest memory out of core dumps: %w", err)
	}
	return m, nil
}

// Close unmaps the memory. Nothing may use it any more.
func (m *Memory) Close() {
	if m.Bytes != nil {
		_ = unix.Munmap(m.Bytes)
	}
	_ = unix.Close(m.file)
}

// Allocated sets the bits of all pages that were ever touched, and clears all others.
func (m *Memory) Allocated(pages Bitmap) error {
	clear(pages)
	for end := int64(0); ; {
		start, err := unix.Seek(m.file, end, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return nil
		}
		if err == nil {
			end, err = unix.Seek(m.file, start, unix.SEEK_HOLE)
		}
		if err != nil {
			return fmt.Errorf("look for guest memory that was touched: %w", err)
		}
		for p := start / PageLen; p < end/PageLen; p++ {
			pages.Set(uint64(p))
		}
	}
}

// Page returns a page by its number, which must be one of memory.
func (m *Memory) Page(p uint64) []byte { return m.Bytes[p*PageLen:][:PageLen] }

// Readable returns the n bytes at gpa, or an error when they are not all in RAM.
func (m *Memory) Readable(gpa, n uint64) ([]byte, error) {
	size := uint64(len(m.Bytes))
	if gpa > size || n > size-gpa {
		return nil, fmt.Errorf("guest-physical range %#x+%#x is outside of memory", gpa, n)
	}
	return m.Bytes[gpa : gpa+n : gpa+n], nil
}

// Writable is Readable for bytes that the caller is going to change.
func (m *Memory) Writable(gpa, n uint64) ([]byte, error) {
	b, err := m.Readable(gpa, n)
	if err == nil && n > 0 {
		for p := gpa / PageLen; p <= (gpa+n-1)/PageLen; p++ {
			m.Host.Set(p)
		}
	}
	return b, err
}

// Window is the part of memory that a device may touch, so that no request reaches page tables or
// the guest's program.
type Window struct {
	*Memory
	start, end uint64
}

// Shared returns the window that guest and host share.
func (m *Memory) Shared() Window { return Window{m, abi.SharedGPA, abi.RAMLen} }

func (w Window) inside(gpa, n uint64) error {
	if gpa < w.start || gpa > w.end || n > w.end-gpa {
		return fmt.Errorf("guest-physical range %#x+%#x is outside of the shared window", gpa, n)
	}
	return nil
}

func (w Window) Readable(gpa, n uint64) ([]byte, error) {
	if err := w.inside(gpa, n); err != nil {
		return nil, err
	}
	return w.Memory.Readable(gpa, n)
}

func (w Window) Writable(gpa, n uint64) ([]byte, error) {
	if err := w.inside(gpa, n); err != nil {
		return nil, err
	}
	return w.Memory.Writable(gpa, n)
}

// Bitmap is a set of page numbers, in the form that KVM_GET_DIRTY_LOG fills.
type Bitmap []uint64

// NewBitmap makes an empty set for so many pages.
func NewBitmap(pages int) Bitmap { return make(Bitmap, (pages+63)/64) }

// Set adds a page.
func (b Bitmap) Set(page uint64) { b[page/64] |= 1 << (page % 64) }

// Has reports whether a page is in the set.
func (b Bitmap) Has(page uint64) bool { return b[page/64]>>(page%64)&1 != 0 }

// Each calls f with every number of the set.
func (b Bitmap) Each(f func(page uint64)) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			f(uint64(i*64 + bits.TrailingZeros64(w)))
		}
	}
}

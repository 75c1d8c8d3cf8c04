package vmm

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
)

var le = binary.LittleEndian

// MachineAddresses is the address space that each machine of a pool takes, bytes.
const MachineAddresses = abi.RAMLen + 1<<20

// memory is the guest's RAM, from guest-physical address 0, and a record of the pages that the host
// changed: KVM's log has only the guest's own writes. It is used by the one goroutine that runs the
// machine.
type memory struct {
	b    []byte
	file int // what b maps
	host bitmap
}

func newMemory(n int) (*memory, error) {
	file, err := unix.MemfdCreate("guest memory", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create for guest memory: %w", err)
	}
	m := &memory{file: file, host: newBitmap(n / pageLen)}
	if err := unix.Ftruncate(file, int64(n)); err != nil {
		m.close()
		return nil, fmt.Errorf("guest memory of %d bytes: %w", n, err)
	}
	m.b, err = unix.Mmap(file, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		m.close()
		return nil, fmt.Errorf("mmap of %d bytes of guest memory: %w", n, err)
	}
	// What images hold must not reach a core dump of this program.
	if err := unix.Madvise(m.b, unix.MADV_DONTDUMP); err != nil {
		m.close()
		return nil, fmt.Errorf("keep guest memory out of core dumps: %w", err)
	}
	return m, nil
}

func (m *memory) close() {
	if m.b != nil {
		_ = unix.Munmap(m.b)
	}
	_ = unix.Close(m.file)
}

// allocated sets the bits of all pages that were ever touched, and clears all others.
func (m *memory) allocated(pages bitmap) error {
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
		for p := start / pageLen; p < end/pageLen; p++ {
			pages.set(uint64(p))
		}
	}
}

// page returns a page by its number, which must be one of memory.
func (m *memory) page(p uint64) []byte { return m.b[p*pageLen:][:pageLen] }

// Readable returns the n bytes at gpa, or an error when they are not all in RAM.
func (m *memory) Readable(gpa, n uint64) ([]byte, error) {
	size := uint64(len(m.b))
	if gpa > size || n > size-gpa {
		return nil, fmt.Errorf("guest-physical range %#x+%#x is outside of memory", gpa, n)
	}
	return m.b[gpa : gpa+n : gpa+n], nil
}

// Writable is Readable for bytes that the caller is going to change.
func (m *memory) Writable(gpa, n uint64) ([]byte, error) {
	b, err := m.Readable(gpa, n)
	if err == nil && n > 0 {
		for p := gpa / pageLen; p <= (gpa+n-1)/pageLen; p++ {
			m.host.set(p)
		}
	}
	return b, err
}

// window is the part of memory that a device may touch: the shared window, so that no request
// reaches page tables or the guest's program.
type window struct {
	*memory
	start, end uint64
}

func (w window) inside(gpa, n uint64) error {
	if gpa < w.start || gpa > w.end || n > w.end-gpa {
		return fmt.Errorf("guest-physical range %#x+%#x is outside of the shared window", gpa, n)
	}
	return nil
}

func (w window) Readable(gpa, n uint64) ([]byte, error) {
	if err := w.inside(gpa, n); err != nil {
		return nil, err
	}
	return w.memory.Readable(gpa, n)
}

func (w window) Writable(gpa, n uint64) ([]byte, error) {
	if err := w.inside(gpa, n); err != nil {
		return nil, err
	}
	return w.memory.Writable(gpa, n)
}

// bitmap is a set of page numbers, in the form that KVM_GET_DIRTY_LOG fills.
type bitmap []uint64

func newBitmap(pages int) bitmap { return make(bitmap, (pages+63)/64) }

func (b bitmap) set(page uint64) { b[page/64] |= 1 << (page % 64) }

func (b bitmap) has(page uint64) bool { return b[page/64]>>(page%64)&1 != 0 }

// each calls f with every number of the set.
func (b bitmap) each(f func(page uint64)) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			f(uint64(i*64 + bits.TrailingZeros64(w)))
		}
	}
}

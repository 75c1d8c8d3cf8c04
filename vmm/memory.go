package vmm

import (
	"encoding/binary"
	"fmt"

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
	host bitmap
}

func newMemory(n int) (*memory, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("mmap of %d bytes of guest memory: %w", n, err)
	}
	// What images hold must not reach a core dump of this program.
	if err := unix.Madvise(b, unix.MADV_DONTDUMP); err != nil {
		_ = unix.Munmap(b)
		return nil, fmt.Errorf("keep guest memory out of core dumps: %w", err)
	}
	return &memory{b: b, host: newBitmap(n / pageLen)}, nil
}

func (m *memory) close() error { return unix.Munmap(m.b) }

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

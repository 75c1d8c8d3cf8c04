package vmm

import (
	"fmt"

	"instarfs/guest/abi"
	"instarfs/vmm/bug"
	"instarfs/vmm/space"
)

// filling is memory into which a program is being loaded, which takes as long as KVM needs for a
// machine. What it holds is valid once done is closed.
type filling struct {
	mem   *space.Memory
	pages *space.Paging
	entry uint64 // of the program
	sp    uint64 // when it starts
	err   error
	done  chan struct{}
}

// fillWith begins to load a program into new memory.
func fillWith(program *space.Program) (*filling, error) {
	mem, err := space.NewMemory(abi.RAMLen)
	if err != nil {
		return nil, err
	}
	f := &filling{mem: mem, entry: program.Entry, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.err = bug.Guard(func() (err error) {
			if f.pages, f.sp, err = space.Populate(mem, program); err != nil {
				return fmt.Errorf("boot of the map guest: %w", err)
			}
			return nil
		})
	}()
	return f, nil
}

// close frees the memory.
func (f *filling) close() {
	<-f.done
	f.mem.Close()
}

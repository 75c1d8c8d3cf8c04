// Package sealed holds a program in memory, to be executed, where nobody can change it. It knows
// nothing of what the program is or who runs it.
package sealed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Program copies a program into an executable file in memory, and seals it against changes. The
// descriptor is open for reading only: the kernel does not execute a file that is open for writing.
func Program(program io.Reader) (fd int, err error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	w, err := unix.MemfdCreate("instarfs-guest", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3, where all are executable
		w, err = unix.MemfdCreate("instarfs-guest", flags)
	}
	if errors.Is(err, unix.EACCES) {
		return -1, fmt.Errorf("memfd_create for the guest program: %w (set the sysctl "+
			"vm.memfd_noexec to 0 or 1)", err)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create for the guest program: %w", err)
	}
	f := os.NewFile(uintptr(w), "guest program")
	defer f.Close()
	if _, err := io.Copy(f, program); err != nil {
		return -1, fmt.Errorf("copy of the guest program into memory: %w", err)
	}
	if err := seal(w); err != nil {
		return -1, fmt.Errorf("seal the guest program: %w", err)
	}
	fd, err = unix.Open(Path(w), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the guest program for execution: %w (is /proc mounted?)", err)
	}
	return fd, nil
}

// sealTime bounds how long seal waits for others to let go of a page.
const sealTime = 5 * time.Second

// seal adds all seals to a file in memory. The kernel refuses with EBUSY as long as anything holds
// a page of the file, which might still write to it (memfd_wait_for_pins in mm/memfd.c). It waits
// for a tenth of a second by itself, which is too short on a busy machine, where the kernel's own
// migration and reclaim of pages hold them.
func seal(fd int) error {
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	for until := time.Now().Add(sealTime); ; time.Sleep(time.Millisecond) {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		if err == nil || !retry(err) || time.Now().After(until) {
			return err
		}
	}
}

func retry(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EINTR) }

// Path returns a path to a descriptor of this process.
func Path(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

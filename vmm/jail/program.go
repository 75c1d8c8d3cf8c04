package jail

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// sealed copies a program into an executable file in memory, and seals it against changes. The
// descriptor is open for reading only: the kernel does not execute a file that is open for writing.
func sealed(program io.Reader) (fd int, err error) {
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
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(w), unix.F_ADD_SEALS, seals); err != nil {
		return -1, fmt.Errorf("seal the guest program: %w", err)
	}
	fd, err = unix.Open(pathOf(w), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the guest program for execution: %w (is /proc mounted?)", err)
	}
	return fd, nil
}

// pathOf returns a path to a descriptor of this process.
func pathOf(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

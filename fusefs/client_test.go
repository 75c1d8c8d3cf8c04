package fusefs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// clientVariable makes the test binary a program that uses a mount: client HOW FILE... The server
// must not be in the same process as a page fault that waits for it.
const clientVariable = "FUSEFS_TEST_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(clientVariable) == "" {
		os.Exit(m.Run())
	}
	for _, file := range os.Args[2:] {
		if err := clients[os.Args[1]](file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// clients are ways to write a file to standard output that common programs do not take, or not
// reliably.
var clients = map[string]func(file string) error{
	"read":         readAll,
	"cat":          copyAll,
	"pread":        readFromEnd,
	"copy":         copyRange,
	"sendfile":     sendAll,
	"splice":       spliceAll,
	"seek-end":     seekEnd,
	"mmap-stat":    func(file string) error { return mapped(file, unix.Stat, unix.MAP_SHARED) },
	"mmap-fstat":   func(file string) error { return mapped(file, nil, unix.MAP_SHARED) },
	"mmap-private": func(file string) error { return mapped(file, nil, unix.MAP_PRIVATE) },
	"alarmed-stat": alarmedStat,
}

// clientEnv makes the test binary a client. A program with the race detector would sleep for a
// second at its end.
var clientEnv = []string{clientVariable + "=1", "GORACE=atexit_sleep_ms=0"}

// clientCommand is the command line of a client.
func clientCommand(how string, files ...string) (string, []string) {
	return "env", slices.Concat(clientEnv, []string{os.Args[0], how}, files)
}

func readAll(file string) error {
	b, err := os.ReadFile(file)
	os.Stdout.Write(b)
	return err
}

func copyAll(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(os.Stdout, f)
	return err
}

// readFromEnd reads backwards in pieces that are aligned to nothing, without asking for the size.
func readFromEnd(file string) error {
	fd, err := unix.Open(file, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var whole []byte
	for off := int64(30 * 9973); off >= 0; off -= 9973 {
		b := make([]byte, 9973)
		n, err := unix.Pread(fd, b, off)
		if err != nil {
			return err
		}
		whole = append(b[:n:n], whole...)
	}
	_, err = os.Stdout.Write(whole)
	return err
}

// sendAll never asks for the size: sendfile until it returns 0.
func sendAll(file string) error {
	return untilEnd(file, func(in int) (int, error) { return unix.Sendfile(1, in, nil, 1<<20) })
}

func spliceAll(file string) error {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return err
	}
	return untilEnd(file, func(in int) (int, error) {
		n, err := unix.Splice(in, nil, p[1], nil, 1<<16, 0)
		if err != nil || n == 0 {
			return int(n), err
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(os.NewFile(uintptr(mustDup(p[0])), "pipe"), b); err != nil {
			return 0, err
		}
		os.Stdout.Write(b)
		return int(n), nil
	})
}

func mustDup(fd int) int {
	fd, err := unix.Dup(fd)
	if err != nil {
		panic(err)
	}
	return fd
}

// copyRange is what cp does: copy_file_range, and read where that is refused.
func copyRange(file string) error {
	tmp, err := os.CreateTemp("", "copy")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = untilEnd(file, func(in int) (int, error) {
		n, err := unix.CopyFileRange(in, nil, int(tmp.Fd()), nil, 1<<20, 0)
		if err == unix.EXDEV || err == unix.EINVAL || err == unix.EOPNOTSUPP {
			b := make([]byte, 1<<16)
			if n, err = unix.Read(in, b); err == nil {
				_, err = tmp.Write(b[:n])
			}
		}
		return n, err
	})
	if err != nil {
		return err
	}
	return readAll(tmp.Name())
}

// untilEnd repeats move on a file that is opened without a stat, until it moves nothing.
func untilEnd(file string, move func(in int) (int, error)) error {
	fd, err := unix.Open(file, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for {
		n, err := move(fd)
		if err != nil || n == 0 {
			return err
		}
	}
}

func seekEnd(file string) error {
	fd, err := unix.Open(file, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	end, err := unix.Seek(fd, 0, unix.SEEK_END)
	fmt.Println(end)
	return err
}

// mapped maps as much of a file as stat, or fstat if that is nil, says there is.
func mapped(file string, stat func(string, *unix.Stat_t) error, flags int) error {
	var st unix.Stat_t
	if stat != nil {
		if err := stat(file, &st); err != nil {
			return err
		}
	}
	fd, err := unix.Open(file, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	if stat == nil {
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
	}
	if st.Size == 0 {
		return nil
	}
	b, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, flags)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(bytes.Clone(b))
	return err
}

// alarmedStat stats a file while signals that it handles rain on the thread.
func alarmedStat(file string) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGALRM)
	tids := make(chan int, 1)
	var done atomic.Bool
	go func() {
		tid := <-tids
		for !done.Load() {
			unix.Tgkill(os.Getpid(), tid, syscall.SIGALRM)
			unix.Nanosleep(&unix.Timespec{Nsec: 2e6}, nil)
		}
	}()
	tids <- unix.Gettid()
	var st unix.Stat_t
	err := unix.Stat(file, &st)
	done.Store(true)
	if err == nil {
		fmt.Println(st.Size)
	}
	return err
}

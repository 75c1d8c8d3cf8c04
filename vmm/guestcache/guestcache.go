// Package guestcache keeps what a guest is after its start from one process to the next, in files
// of a directory that belongs to this user alone. It knows nothing of what it keeps. A file that is
// damaged, or that is not this user's, is not used.
package guestcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Key says what data is good for: all that must be the same for it to be used again.
type Key [sha256.Size]byte

// Dir is a directory of files. It is safe for concurrent use, also by several processes.
type Dir struct{ path string }

// At returns the directory with this path. It is made when something is stored.
func At(path string) *Dir { return &Dir{path} }

// The form of a file: magic, the SHA-256 of all that follows, the key, the data.
const (
	magic     = "instarfs guest 1"
	digestEnd = len(magic) + sha256.Size
	keyEnd    = digestEnd + len(Key{})
	maxFile   = 64 << 20 // bytes; more than a guest has
	most      = 4        // files that are kept, the newest
	prefix    = "guest-"
	temporary = ".new"
)

func (k Key) file() string { return prefix + hex.EncodeToString(k[:16]) }

// ErrNotOurs says that a directory or a file is not safe to use: another user could have written
// it.
var ErrNotOurs = errors.New("it must belong to this user, and to nobody else")

// Load returns the data that was stored with a key. It is nil if there is none. A file that is
// damaged is removed; the error says so.
func (d *Dir) Load(k Key) (data []byte, err error) {
	dir, err := d.open()
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	b, err := read(dir, k.file())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		if data, err = unpack(b, k); err == nil {
			return data, nil
		}
		_ = unix.Unlinkat(dir, k.file(), 0)
	}
	return nil, fmt.Errorf("guest cache: %s: %w", filepath.Join(d.path, k.file()), err)
}

// Store keeps data with a key, in place of what there was. Files of other keys that are too many
// are removed.
func (d *Dir) Store(k Key, data []byte) error {
	err := os.MkdirAll(d.path, 0o700)
	if err != nil {
		return fmt.Errorf("guest cache: %w", err)
	}
	dir, err := d.open()
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := write(dir, k, data); err != nil {
		return fmt.Errorf("guest cache: store %s: %w", filepath.Join(d.path, k.file()), err)
	}
	prune(dir)
	return nil
}

// Drop removes what was stored with a key.
func (d *Dir) Drop(k Key) {
	if dir, err := d.open(); err == nil {
		_ = unix.Unlinkat(dir, k.file(), 0)
		unix.Close(dir)
	}
}

// open opens the directory, if it is safe.
func (d *Dir) open() (fd int, err error) {
	fd, err = unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = ours(fd, unix.S_IFDIR); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return -1, fmt.Errorf("guest cache: %s: %w", d.path, err)
	}
	return fd, nil
}

// ours reports why a file is not safe: it is of another type or user, or open to others.
func ours(fd int, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != kind || st.Uid != uint32(os.Geteuid()) || st.Mode&0o077 != 0 {
		return ErrNotOurs
	}
	return nil
}

func read(dir int, name string) ([]byte, error) {
	// A FIFO must not block.
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	fd, err := unix.Openat(dir, name, flags, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := ours(fd, unix.S_IFREG); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, errDamaged
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, errDamaged
	}
	return b, nil
}

var errDamaged = errors.New("it is damaged")

// unpack returns the data in a file if it is whole and has this key.
func unpack(b []byte, k Key) ([]byte, error) {
	if len(b) < keyEnd || string(b[:len(magic)]) != magic ||
		!bytes.Equal(b[digestEnd:keyEnd], k[:]) {
		return nil, errDamaged
	}
	if digest := sha256.Sum256(b[digestEnd:]); !bytes.Equal(b[len(magic):digestEnd], digest[:]) {
		return nil, errDamaged
	}
	return b[keyEnd:], nil
}

// write writes a file by the name of a key, or none.
func write(dir int, k Key, data []byte) error {
	b := make([]byte, 0, keyEnd+len(data))
	b = append(append(b, magic...), make([]byte, sha256.Size)...)
	b = append(append(b, k[:]...), data...)
	digest := sha256.Sum256(b[digestEnd:])
	copy(b[len(magic):], digest[:])

	var random [8]byte
	if _, err := unix.Getrandom(random[:], 0); err != nil {
		return err
	}
	name := k.file() + "-" + hex.EncodeToString(random[:]) + temporary
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, name, flags, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(b)
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = unix.Renameat(dir, name, dir, k.file())
	}
	if err != nil {
		_ = unix.Unlinkat(dir, name, 0)
	}
	return err
}

// oldTemporary is how old a file is that its writer has left behind.
const oldTemporary = time.Hour

// prune removes all but the newest files, and what writers left that were killed. It is best
// effort.
func prune(dir int) {
	names, err := list(dir)
	if err != nil {
		return
	}
	type file struct {
		name  string
		mtime time.Time
	}
	var files []file
	for _, name := range names {
		var st unix.Stat_t
		if !strings.HasPrefix(name, prefix) ||
			unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		mtime := time.Unix(st.Mtim.Unix())
		if !strings.HasSuffix(name, temporary) {
			files = append(files, file{name, mtime})
		} else if time.Since(mtime) > oldTemporary {
			_ = unix.Unlinkat(dir, name, 0)
		}
	}
	slices.SortFunc(files, func(a, b file) int { return b.mtime.Compare(a.mtime) })
	for _, f := range files[min(most, len(files)):] {
		_ = unix.Unlinkat(dir, f.name, 0)
	}
}

func list(dir int) ([]string, error) {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), ".")
	defer f.Close()
	return f.Readdirnames(-1)
}

package chain

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"instarfs/cache"
)

// Tree is a directory and what lies beneath it, held by a descriptor: it stays the same directory when another file system
// is mounted over it. Paths are slash separated and relative to it. Symbolic links are followed as long as they stay
// beneath. It is safe for concurrent use.
type Tree struct {
	name string // as the user gave it
	abs  string // the same as an absolute path, for names in images that are absolute
	fd   int
}

// OpenTree opens a directory.
func OpenTree(name string) (*Tree, error) { return openTree(name, unix.O_RDONLY) }

// openTree opens a directory, with O_PATH also one that may be passed through and not be listed.
func openTree(name string, flags int) (*Tree, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	fd, err := unix.Open(abs, flags|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	return &Tree{name: name, abs: abs, fd: fd}, nil
}

// Close lets the directory go. Files opened from it stay open.
func (t *Tree) Close() error { return unix.Close(t.fd) }

// open opens what a path names, if it is beneath the tree: with O_PATH, or as a directory. Files are not opened by path, see
// reopen.
func (t *Tree) open(p string, flags uint64) (int, error) {
	fd, err := openHow(t.fd, p, flags, beneath)
	if err == unix.EXDEV {
		err = unix.ENOENT // what lies outside does not exist
	}
	return fd, err
}

// beneath gives an O_PATH descriptor of what a path names; unix.EXDEV says that it leads out of the tree.
func (t *Tree) beneath(p string) (int, error) {
	return openHow(t.fd, p, unix.O_PATH, beneath)
}

const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS

func openHow(dir int, p string, flags, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	for {
		fd, err := unix.Openat2(dir, p, &how)
		// EAGAIN: a rename somewhere raced with the walk of "..". EINTR: a slow file system.
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
}

// reopen opens for reading what an O_PATH descriptor holds, if that is a regular file.
func reopen(path int) (int, error) {
	if err := regular(path); err != nil {
		return -1, err
	}
	return unix.Open(procFD(path), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// procFD names what a descriptor holds by way of proc(5), whatever its own name is by now.
func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// label is the path as it is shown to people: as qemu-img would be called.
func (t *Tree) label(p string) string {
	if t.name == "" || t.name[len(t.name)-1] == '/' {
		return t.name + p
	}
	return t.name + "/" + p
}

// stat describes what a path names, without opening it.
func (t *Tree) stat(p string) (st unix.Stat_t, err error) {
	err = unix.Fstatat(t.fd, p, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFLNK && path.Dir(p) == "." && p != ".." {
		return st, nil // nothing was followed on the way, and nothing left
	}
	fd, err := t.open(p, unix.O_PATH)
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	return st, unix.Fstat(fd, &st)
}

// DirEntry is a name in a directory of the tree, and the type bits of its mode.
type DirEntry struct {
	Name string
	Mode uint32
}

// ReadDir lists the regular files and the directories in a directory, sorted by name. A link that ends at a regular file
// beneath the tree counts as one; other links do not exist.
func (t *Tree) ReadDir(dir string) ([]DirEntry, error) {
	fd, err := t.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	// Where a file system does not tell the types of entries, package os asks for each by this name and its own.
	f := os.NewFile(uintptr(fd), procFD(fd))
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return nil, errnoOf(err)
	}
	entries := make([]DirEntry, 0, len(list))
	for _, e := range list {
		mode := uint32(unix.S_IFREG)
		switch e.Type() {
		case 0:
		case os.ModeDir:
			mode = unix.S_IFDIR
		case os.ModeSymlink:
			st, err := t.stat(path.Join(dir, e.Name()))
			if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
				continue
			}
		default:
			continue
		}
		entries = append(entries, DirEntry{e.Name(), mode})
	}
	slices.SortFunc(entries, func(a, b DirEntry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

// errnoOf takes the error number out of what package os wraps it in, path and all.
func errnoOf(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// identity is what tells the content of a file from any other.
func identity(st *unix.Stat_t) cache.Identity {
	return cache.Identity{
		Dev: st.Dev, Ino: st.Ino, Size: st.Size, MTimeNs: st.Mtim.Nano(), CTimeNs: st.Ctim.Nano(),
	}
}

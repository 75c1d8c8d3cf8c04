package files

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// An access control list says more than a mode: its mode shows the mask of the list where that of
// the group would be, see acl(5). Layout: linux/posix_acl_xattr.h.
const (
	aclName    = "system.posix_acl_access"
	aclVersion = 2
	aclHeader  = 4 // bytes: version
	aclEntry   = 8 // bytes: tag u16, permissions u16, ID u32

	aclUser, aclGroupObj, aclGroup = 0x02, 0x04, 0x08
)

// maxACL is the most bytes of an attribute that the kernel gives out.
const maxACL = 64 << 10

// ListedAt returns the access control list of a name in a directory, or nil if it has none. mode is
// the mode of the file: without bits for the group, the mask lets no entry of a list count.
func ListedAt(dir int, name string, mode uint32) ([]byte, error) {
	return listed(ProcFD(dir)+"/"+name, mode)
}

// listed is ListedAt for a path.
func listed(path string, mode uint32) ([]byte, error) {
	if mode&0o070 == 0 || mode&unix.S_IFMT == unix.S_IFLNK {
		return nil, nil
	}
	var short [256]byte
	b := short[:]
	n, err := unix.Getxattr(path, aclName, b)
	if err == unix.ERANGE {
		b = make([]byte, maxACL)
		n, err = unix.Getxattr(path, aclName, b)
	}
	switch err {
	case nil:
		return slices.Clone(b[:n]), nil // few files have one, and need memory for it
	case unix.ENODATA, unix.EOPNOTSUPP:
		return nil, nil
	}
	return nil, err
}

// Narrow returns the bits of mode that a list leaves to whole classes of users: what the list takes
// from one user it takes from the user's class. A list that cannot be parsed leaves only the bits
// of the owner.
func Narrow(mode uint32, list []byte) uint32 {
	if len(list) == 0 {
		return mode
	}
	le := binary.LittleEndian
	if len(list) < aclHeader || le.Uint32(list) != aclVersion ||
		(len(list)-aclHeader)%aclEntry != 0 {
		return mode &^ 0o077
	}
	group, named := uint32(0), uint32(0o7)
	for e := list[aclHeader:]; len(e) > 0; e = e[aclEntry:] {
		switch perm := uint32(le.Uint16(e[2:])); le.Uint16(e) {
		case aclGroupObj:
			group = perm
		case aclUser, aclGroup:
			named &= perm
		}
	}
	return mode & (^uint32(0o077) | (group&named)<<3 | named)
}

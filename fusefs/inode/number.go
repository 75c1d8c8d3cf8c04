// Package inode holds what is true of an inode as the kernel sees it: its number, which content it
// shows, and whether its name was just looked up again. The kernel keeps pages for each inode, so
// pages of two contents must never meet in one.
package inode

import (
	"crypto/sha256"
	"encoding/binary"
)

// Number returns the inode number of a path's view (0: the file or directory itself) in a
// generation. seq distinguishes inodes for which all of these are equal. The number does not change
// between mounts, so that backup software recognises a file. It is below 2^63, which is as much as
// programs in Java, JavaScript, SQL and Go's int64 hold. The hash is a strong one, so that a
// user who may create files cannot choose names that collide with those of others.
func Number(file string, view byte, g [2]uint64, seq uint64) uint64 {
	b := make([]byte, 0, 128)
	b = append(b, view)
	b = binary.LittleEndian.AppendUint64(b, g[0])
	b = binary.LittleEndian.AppendUint64(b, g[1])
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = append(b, file...)
	sum := sha256.Sum256(b)
	ino := binary.LittleEndian.Uint64(sum[:]) &^ (1 << 63)
	// 0 means "none" to the kernel and to go-fuse, 1 is the root.
	return max(ino, 2)
}

// Narrow returns the number below 2^32 that stands for an inode number where 32-bit programs look,
// whose stat(2) fails on a larger one.
func Narrow(ino uint64) uint64 { return max(uint64(uint32(ino)^uint32(ino>>32)), 2) }

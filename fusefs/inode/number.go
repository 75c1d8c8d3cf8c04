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
// between mounts, so that backup software recognises a file. The hash is a strong one, so that a
// user who may create files cannot choose names that collide with those of others.
func Number(file string, view byte, g [2]uint64, seq uint64) uint64 {
	b := make([]byte, 0, 128)
	b = append(b, view)
	b = binary.LittleEndian.AppendUint64(b, g[0])
	b = binary.LittleEndian.AppendUint64(b, g[1])
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = append(b, file...)
	sum := sha256.Sum256(b)
	ino := binary.LittleEndian.Uint64(sum[:])
	// 0 and all ones mean "none" to the kernel and to go-fuse, 1 is the root.
	if ino <= 1 || ino == ^uint64(0) {
		ino = 2
	}
	return ino
}

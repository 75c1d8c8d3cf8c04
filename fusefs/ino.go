package fusefs

import (
	"crypto/sha256"
	"encoding/binary"
)

// inode is the inode number of a path's view (0: the directory) in a generation. seq tells apart what must not share an
// inode although all of these agree. The number does not change between mounts, so that backup software recognises a file.
// A strong hash keeps whoever may create files from choosing names that collide with those of others.
func inode(file string, v View, g Generation, seq uint64) uint64 {
	b := make([]byte, 0, 128)
	b = append(b, byte(v))
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

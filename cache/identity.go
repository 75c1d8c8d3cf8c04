package cache

// Identity tells the content of a file from that of any other, past and present, as far as a file system tells it.
type Identity struct {
	Dev, Ino uint64
	Size     int64 // bytes
	MTimeNs  int64 // last change of the content, nanoseconds since 1970
	CTimeNs  int64 // last change of the content or the inode, nanoseconds since 1970
}

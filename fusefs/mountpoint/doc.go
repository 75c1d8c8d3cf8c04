// Package mountpoint is about the place at which a file system is mounted, before it is there and
// after: whether a mount at a directory can work, what keeps FUSE from working on this machine, and
// how a mount leaves. It knows nothing of what is mounted.
//
// Checks touch other file systems, whose servers may be dead, stopped or far away, so each has a
// limit of time. An error is one line with what was tried, on which directory, why it failed and
// what to do.
package mountpoint

// FSType is the type of our mounts in the table of mounts.
const FSType = "fuse.instarfs"

// Log takes a line about something that was done, as fmt.Printf does.
type Log func(format string, args ...any)

// Package fusefs is the mount: a read-only FUSE file system that mirrors a directory tree and
// shows, for every disk image in it, the files NAME.map.json and NAME.map.txt. It sees maps and
// renderings through the interfaces of source.go and knows neither guests nor image formats.
//
// # The tree
//
// Directories are mirrored. An image is a regular file that Options.Include, Options.Exclude and
// the default extensions pick; its two views are listed. The views of any other regular file are
// not listed but can be opened by name, and so can NAME.map.err, which holds the one line that says
// why NAME cannot be mapped, and nothing when it can be. A directory whose own name is that of a
// view of a regular file beside it is hidden by the view.
//
// # Sizes that are not known yet
//
// The bytes of a view, and so its size, are unknown until a guest has read the image. A listing
// must not start a thousand guests, yet cp, tar, mmap and sendfile trust the size they are told.
// The rules that make all of them work:
//
//   - readdir and LOOKUP never run a guest. LOOKUP answers the exact size of a map that is at hand,
//     else size 0 with an attribute timeout of 0, so that the kernel asks again.
//     (fs.Options.AttrTimeout stays nil: a default there replaces a 0 in the reply.)
//   - GETATTR runs the guest and answers the exact size. The kernel does not pass the handle of an
//     fstat.
//   - OPEN runs the guest and pushes the last byte of the content into the page cache before it
//     replies. That sets the kernel's i_size; without it, readers that never stat (splice,
//     sendfile) see 0 and stop. It happens at every open: the server cannot know what the kernel
//     believes, since a GETATTR reply is dropped when a LOOKUP overtook it.
//
// # Generations
//
// A generation identifies the content of an image. An inode number is a hash of path, view and
// generation, so pages of two contents never meet in one page cache: a handle, or a mapping, goes
// on showing the content it was opened on. An inode is bound to the first content that was made
// known under it and serves no other. OPEN of an inode that is bound to what is no longer current
// answers ESTALE; the VFS then looks the name up again within the same system call. It does so only
// once, so the same thread is never told ESTALE twice in a row for a path.
//
// A program may come back to the same inode: its file is bind mounted, or named by a descriptor. It
// then gets the content that somebody has open there; if nobody has, the inode is bound to what the
// image holds now, after the kernel has dropped its pages (inode.Shown). FOPEN_DIRECT_IO would not
// do: sendfile and private mappings go through the inode's pages all the same.
//
// Maps are held by handles only. Nodes, which live as long as the kernel remembers a name, keep
// sizes.
//
// # Timeouts
//
// Entries and attributes are valid for one second. A replaced image is thus seen by stat within a
// second, by open at once. Directory listings are kept by the kernel (FOPEN_CACHE_DIR) until the
// directory's mtime changes; a directory that changed within the last seconds is not kept, because
// its next change may carry the same mtime. See usage.Habits for when a listing is read anew all
// the same. A listing that depends on which images have maps (OnError) is never kept: an image gets
// one without a change of its directory.
//
// # Failures
//
// stat of a view that cannot be made answers size 0, so that listings stay quiet; open answers the
// errno that fits; one line is logged per generation. A panic in a handler is EIO for that call and
// a line in the log. So is an error number that means something special to the kernel or to
// programs, unless it is meant (package answer).
//
// # Interrupts
//
// The kernel interrupts a request for any signal, also for those that the caller handles and
// expects stat to survive. Waiting therefore ends with EINTR only when the caller is about to die;
// see package caller. The run goes on for whoever else waits for it, and a moment longer.
//
// # Hazards
//
//  1. Never touch the own mount from the server: a request that waits for the server from within
//     the server may wait for ever. The source is held by a descriptor, and a mount point inside
//     the source or around it is refused.
//  2. Never hold a lock that a handler needs while notifying the kernel, rendering or waiting for a
//     run.
//  3. Never block on the log: whoever reads it may be waiting for the mount.
//
// Lock order: all mutexes of the package are leaves, no two are held together.
package fusefs

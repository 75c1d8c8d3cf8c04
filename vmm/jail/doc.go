// Package jail runs the map guest where there is no KVM: as a process that can compute, talk to this
// one by messages, and nothing else. It is the second carrier of package session.
//
// # A guest
//
// A child is the guest program, executed from a sealed memfd, with two descriptors: a stream to the
// host, and a pipe for what the Go runtime writes when it panics. Before it sees a byte of an image
// it makes the system calls that the host asks for (abi.Steps), which confine it (confine.go): all
// policy is here, none is in the guest. It carries out one job and is killed then; the next one
// waits ready.
//
// # Trust
//
// No memory is shared. A message of the child is copied into memory of the host by read(2) before
// anything of it is looked at, and checked in package session and in transport.go. The host waits
// for the child no longer than a tick at a time, so that the child's time passes by turns and ends
// with its budget, whatever the child does.
//
// # What the owner of a guest has
//
// Whoever owns the child has its memory, which holds metadata of one image, some twenty system
// calls, which filter.go lists, and its stream. The kernel is one bug in these system calls away.
//
// Sources: clone(2), user_namespaces(7), pivot_root(2), seccomp(2), landlock(7), prctl(2);
// include/uapi/linux/{seccomp,landlock,filter,audit}.h.
package jail

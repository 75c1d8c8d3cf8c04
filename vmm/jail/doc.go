// Package jail runs the map guest where there is no KVM: as a process that can compute, talk to
// this one by messages, and nothing else. It is the second carrier of package session.
//
// # A guest
//
// A child is the guest program, executed from a sealed memfd, with two descriptors: a stream to the
// host, and a pipe for what the Go runtime writes when it panics. Before it sees a byte of an image
// it makes the system calls that the host asks for (abi.Steps), which confine it (confine.go). All
// policy is here, none is in the guest. The child carries out one job and is then killed; the next
// child is ready by then.
//
// # Trust
//
// No memory is shared. The host copies a message of the child into its own memory before it looks
// at it, and checks it in transport.go and in package session. It waits for the child for a tick
// at a time and then checks the child's time. So the child takes turns with others, and its run
// ends with its budget, whatever the child does. Without a turn the child is stopped.
//
// # What an attacker who controls a guest has
//
// The memory of the child, which holds metadata of one image; its stream; and some twenty system
// calls, which filter.go lists. A bug of the kernel in one of these is the way out. With these
// calls the child can map private memory up to its limit, signal itself, and make threads. While
// it has its turn it may compute on every processor; the kernel's limit of processor time bounds
// the sum. Where it has no user namespace, only the limits of its user bound the number of its
// threads. The children of a host that is root share an empty network, IPC and host name: two that
// broke out of their filters would find each other there, and nothing else.
//
// Sources: clone(2), user_namespaces(7), pivot_root(2), seccomp(2), landlock(7), prctl(2);
// include/uapi/linux/{seccomp,landlock,filter,audit}.h.
package jail

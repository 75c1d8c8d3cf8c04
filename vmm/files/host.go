// Package files finds and opens files that the process shares with others: a path below a
// directory, followed without leaving it (walk.go), with the rights of a user and without waiting
// for ever (package gate). It decides which files an image may have opened by naming them
// (policy.go). It knows no image, no map, no guest and no cache.
//
// Its files, from the bottom up:
//
//	openat2.go  system calls
//	acl.go      access control lists
//	file.go     a file that was found
//	tree.go     a directory, and places in it
//	recent.go   directories that all users may search
//	host.go     the files of the computer, and what images may name
//	above.go    the directories above a tree
//	walk.go     a path, step by step
//	find.go     the file at a path
//	open.go     opens files
//	reach.go    who can reach a place
//	caller.go   on whose behalf
//	policy.go   the files that images name
package files

import (
	"errors"
	"os"
	"strings"
	"time"

	"instarfs/vmm/gate"
)

// References says which of the files that images name are opened.
type References uint8

const (
	// Beneath opens what lies beneath the tree of the image, or beneath Policy.Allow.
	Beneath References = iota
	// None opens nothing.
	None
	// Any opens what qemu would open, as long as it is a regular file.
	Any
)

// Policy says which files are opened because an image names them, and with whose rights.
type Policy struct {
	References References
	Allow      []*Tree // in addition to the tree that the image lies in
	// OwnRights opens what an image names with the rights of this process. By default it is opened
	// with the rights of the owner of the file that names it, if this process can act for others.
	OwnRights bool
}

// ErrNone says that the policy opens no files that images name.
var ErrNone = errors.New("references are not followed")

// Host is the files of this computer. It is safe for concurrent use.
type Host struct {
	Gate   *gate.Gate
	Policy Policy
	root   *Tree // of all files, for References Any; otherwise nil
	recent recent
}

// NewHost returns a Host whose calls may take callTime each.
func NewHost(p Policy, callTime time.Duration) *Host {
	h := &Host{Gate: gate.New(callTime), Policy: p}
	if p.References == Any {
		// If this fails, references are refused where References Beneath refuses them.
		h.root, _ = OpenPath("/")
	}
	return h
}

// WorkingDirectory returns where relative names start that belong to no file. ok is false if the
// policy does not let images name files there.
func (h *Host) WorkingDirectory() (at Place, ok bool) {
	if h.root == nil {
		return Place{}, false
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = "/" // it was removed
	}
	return Place{Tree: h.root, Path: strings.TrimPrefix(dir, "/") + "/"}, true
}

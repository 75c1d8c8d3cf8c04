package files

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"instarfs/vmm/gate"
)

// Caller is the process that asks for something, and gets only what it could read itself. Nil is
// the user who mounted.
type Caller struct {
	UID, GID uint32
	Groups   []uint32
	Known    bool // Groups are all groups of the caller
}

// User returns the rights for calls on behalf of who; nil is the rights of this process. Those
// decide nothing for a caller whose rights are not known or cannot be taken: see CheckUnknown.
func (who *Caller) User() *gate.User {
	if who == nil || !who.exact() {
		return nil
	}
	return &gate.User{UID: who.UID, GID: who.GID, Groups: who.Groups, Above: true}
}

func (who *Caller) exact() bool { return who.Known && gate.CanBecome() }

// CheckUnknown checks, for a caller whose rights are not known exactly, that they do not matter:
// each class of users may search all directories on the way to a place, and has bits of the mode of
// what is there. Otherwise the error is unix.EACCES. For other callers it checks nothing.
func (h *Host) CheckUnknown(ctx context.Context, who *Caller, at Place, bits uint32) error {
	if who == nil || who.exact() {
		return nil
	}
	open, err := h.OpenToAll(ctx, at, bits)
	if err == nil && !open {
		err = unix.EACCES
	}
	return err
}

// ReadAs opens a file that was found at a place, on behalf of who, and passes it to look, which may
// be nil. The error is ErrReplaced if another file lies there by now, or none.
func (h *Host) ReadAs(
	ctx context.Context, who *Caller, at Place, st *unix.Stat_t, look func(fd int) error,
) error {
	if look == nil {
		look = func(int) error { return nil }
	}
	err := h.CheckUnknown(ctx, who, at, 0o444)
	if err == nil {
		err = h.Read(ctx, who.User(), at, st, look)
	}
	for _, gone := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP} {
		if errors.Is(err, gone) {
			return ErrReplaced
		}
	}
	return err
}

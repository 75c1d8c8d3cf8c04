package chain

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/image"
)

// ReadAs opens a file that was found at a place, on behalf of a caller, and passes it to look,
// which may be nil. The error is failure.ErrChanging if another file lies there by now, or none.
func (e *Engine) ReadAs(
	ctx context.Context, who *files.Caller,
	at files.Place, st *unix.Stat_t, look func(fd int) error,
) error {
	err := e.host.ReadAs(ctx, who, at, st, look)
	if errors.Is(err, files.ErrReplaced) {
		return failure.ErrChanging
	}
	return err
}

// CheckRights checks that a caller may read the files of a map, each at its own place. Of a file
// that it may not read the error says no more than that, and nothing of the files that it names.
func (e *Engine) CheckRights(ctx context.Context, who *files.Caller, members []Member) error {
	if who == nil {
		return nil
	}
	return e.readMembers(ctx, who, members, func(*Member, int) error { return nil })
}

// CheckLocks does what CheckRights does, and checks in addition that no writer has one of the files
// open.
func (e *Engine) CheckLocks(ctx context.Context, who *files.Caller, members []Member) error {
	return e.readMembers(ctx, who, members, func(m *Member, fd int) error {
		return image.LocksOf(fd, m.label).Err(m.reader)
	})
}

func (e *Engine) readMembers(
	ctx context.Context, who *files.Caller, members []Member, look func(m *Member, fd int) error,
) error {
	for i := range members {
		m := &members[i]
		err := e.ReadAs(ctx, who, m.At, &m.Stat, func(fd int) error { return look(m, fd) })
		if err != nil {
			return &failure.Reference{
				Kind: m.kind, Name: m.name, Label: m.label, Depth: m.depth, Err: err,
			}
		}
	}
	return nil
}

// hideMissing returns the error that a caller gets for a file that could not be opened, and would
// lie at one of some places. It says that the file does not exist only if the caller can see that.
func (e *Engine) hideMissing(
	ctx context.Context, who *files.Caller, at []files.Place, err error,
) error {
	var ref *failure.Reference
	if who == nil || len(at) == 0 || !errors.As(err, &ref) || failure.Refused(ref.Err) {
		return err
	}
	own := e.host.CheckUnknown(ctx, who, at[0], 0)
	if own == nil {
		var f *files.File
		f, own = e.host.Find(ctx, who.User(), at[0], e.host.Roots(), true)
		if own == nil {
			f.Close()
		}
	}
	if errors.Is(own, unix.EACCES) {
		hidden := *ref
		hidden.Err = unix.EACCES
		return &hidden
	}
	return err
}

package mirror

import (
	"context"

	"instarfs/fusefs"
	"instarfs/guest/extent"
	"instarfs/vmm/chain"
	"instarfs/vmm/files"
	"instarfs/vmm/source"
)

// tree shows a source.Source in the types of fusefs, which knows nothing of chains.
type tree struct{ *source.Source }

func caller(who *fusefs.Caller) *files.Caller { return (*files.Caller)(who) }

func info(i source.Info) fusefs.Info {
	return fusefs.Info{
		Mode: i.Mode, UID: i.UID, GID: i.GID, MTime: i.MTime, CTime: i.CTime,
		Generation: fusefs.Generation(i.Generation),
		Link:       i.Link, LinkType: i.LinkType, Device: i.Device, Alone: i.Alone,
	}
}

// ReadDir implements fusefs.Source.
func (s tree) ReadDir(
	ctx context.Context, who *fusefs.Caller, dir string,
) ([]fusefs.Entry, error) {
	list, err := s.Source.ReadDir(ctx, caller(who), dir)
	entries := make([]fusefs.Entry, len(list))
	for i, e := range list {
		entries[i] = fusefs.Entry{Name: e.Name, Type: e.Type, Known: e.Known, Info: info(e.Info),
			Hidden: e.Hidden}
	}
	return entries, err
}

// CheckDir implements fusefs.Source.
func (s tree) CheckDir(ctx context.Context, who *fusefs.Caller, dir string) error {
	return s.Source.CheckDir(ctx, caller(who), dir)
}

// Stat implements fusefs.Source.
func (s tree) Stat(
	ctx context.Context, who *fusefs.Caller, path string,
) (fusefs.Info, error) {
	i, err := s.Source.Stat(ctx, caller(who), path)
	return info(i), err
}

// Cached implements fusefs.Source.
func (s tree) Cached(path string, g fusefs.Generation) (*extent.Map, bool) {
	return s.Source.Cached(path, chain.Generation(g))
}

// Check implements fusefs.Source.
func (s tree) Check(
	ctx context.Context, who *fusefs.Caller, path string, g fusefs.Generation,
) (bool, error) {
	return s.Source.Check(ctx, caller(who), path, chain.Generation(g))
}

// Map implements fusefs.Source.
func (s tree) Map(
	ctx context.Context, who *fusefs.Caller, path string,
) (*extent.Map, fusefs.Generation, error) {
	m, g, err := s.Source.Map(ctx, caller(who), path)
	return m, fusefs.Generation(g), err
}

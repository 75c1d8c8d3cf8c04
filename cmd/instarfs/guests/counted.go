package guests

import (
	"context"
	"errors"

	"instarfs/guest/img"
	"instarfs/stats"
	"instarfs/vmm/session"
)

// Counted returns a pool that does what p does, and counts its runs.
func Counted(p Pool, s *stats.Stats) Pool { return counted{p, s} }

type counted struct {
	Pool
	stats *stats.Stats
}

// Run implements Pool.
func (c counted) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	done := c.stats.Begin()
	layer, err := c.Pool.Run(ctx, job)
	format := job.Format
	if layer != nil {
		format = layer.Format
	}
	done(c.Carrier(), formatName(format), outcome(ctx, err))
	return layer, err
}

func formatName(f img.Format) string {
	if f == img.Unknown {
		return "unknown"
	}
	return f.String()
}

// outcome says in a word or two how a run ended; there are few of them, for they become labels.
func outcome(ctx context.Context, err error) string {
	var guest *session.GuestError
	switch {
	case err == nil:
		return stats.OK
	case ctx.Err() != nil:
		return "canceled"
	case session.IsFault(err):
		return "damaged image"
	case errors.As(err, &guest):
		return guest.Kind.String()
	case errors.Is(err, session.ErrNoGuest):
		return "no guest"
	}
	return "host error"
}

package vmm

import (
	"context"
	"time"
)

// Budget bounds one run. Nothing a guest does costs the host more.
type Budget struct {
	Time    time.Duration // wall clock
	Exits   int           // entries into the guest, system calls included
	Read    uint64        // bytes of the image
	Extents int           // extents of the layer map, which stay in host memory: 18 bytes each
}

// DefaultBudget maps every image that a person is likely to meet, a 4 TiB qcow2 with 64 Mi extents among them, and stops
// one that was made to waste time within a minute.
var DefaultBudget = Budget{Time: time.Minute, Exits: 1 << 22, Read: 16 << 30, Extents: 64 << 20}

// meter counts what a run uses up.
type meter struct {
	ctx    context.Context // done when the run is to stop: its deadline, or nobody waits for it any more
	budget Budget
	exits  int
}

// exit counts one entry into the guest.
func (b *meter) exit() error {
	if b.exits++; b.exits > b.budget.Exits {
		return guestError(KindExits, "the guest left to the host more than %d times", b.budget.Exits)
	}
	return nil
}

// over reports whether the run is to stop.
func (b *meter) over() bool { return b.ctx.Err() != nil }

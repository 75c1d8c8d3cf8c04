package vmm

import (
	"context"

	"instarfs/guest/abi"
	"instarfs/vmm/session"
)

// run carries out a job on a machine that stands at its snapshot. The machine is fit for a reset
// only if the error is nil or a *fault.Fault, which is the image's own.
func (m *machine) run(
	ctx context.Context, job *session.Job, ticket *session.Ticket,
) (layer *session.Layer, err error) {
	err = m.until(ctx, func(kick func()) (err error) {
		meter := ticket.Meter(ctx, kick)
		defer meter.Stop()
		layer, err = session.Serve(meter, m, job)
		return err
	})
	return layer, err
}

// Carrier implements session.Transport.
func (m *machine) Carrier() string { return carrier }

// Start implements session.Transport.
func (m *machine) Start(c *abi.Config, job *session.Job, disk *session.Disk) error {
	m.ring = session.Ring{}
	err := job.Mirror(c, func(off, n uint64) ([]byte, error) {
		return m.mem.Writable(abi.SharedGPA+abi.MirrorOffset+off, n)
	})
	if err != nil {
		return err
	}
	at, err := m.mem.Writable(abi.SharedGPA+abi.ConfigOffset, abi.ConfigLen)
	if err != nil {
		return err
	}
	c.Encode(at)
	m.disk.Attach(disk)
	return nil
}

// Next implements session.Transport. The guest stands still until the next call, so nothing that it
// shares with the host changes.
func (m *machine) Next(meter *session.Meter) (e session.Event, err error) {
	bell, err := m.enter(meter)
	if err != nil {
		return e, err
	}
	if bell != abi.BellRing && bell != abi.BellDone {
		return e, m.Blame(session.KindProtocol, "doorbell %#x during a run", bell)
	}
	control, err := m.mem.Readable(abi.SharedGPA+abi.RingControl, 8)
	if err != nil {
		return e, err
	}
	ring, err := m.mem.Readable(abi.SharedGPA+abi.RingOffset, abi.RingLen)
	if err != nil {
		return e, err
	}
	if e.Records, err = m.ring.Take(control, ring); err != nil {
		return e, m.Blame(session.KindProtocol, "%v", err)
	}
	if bell == abi.BellDone {
		m.large = m.ring.Wrapped()
		e.Result, err = m.mem.Readable(abi.SharedGPA+abi.ResultOffset, abi.ResultLen)
	}
	return e, err
}

package session

import (
	"errors"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
)

var (
	errRecord   = errors.New("unknown flags or file")
	errComposed = errors.New("flags or depth that only a composed map has")
)

// decoder makes extents of records.
type decoder struct {
	out     *extent.Builder
	decoded uint64 // records
	maxFile int    // the highest file that an extent named
	bads    int    // one more than the highest fault that a Bad extent named
}

// decode adds records to the map, each copied out before it is looked at.
func (d *decoder) decode(records []byte) error {
	for ; len(records) > 0; records = records[abi.RecordLen:] {
		e, ok := abi.Record(records)
		switch {
		case !ok:
			return errRecord
		case e.Flags&extent.Bad != 0:
			if e.Offset >= abi.MaxFaults {
				return errRecord
			}
			d.bads = max(d.bads, int(e.Offset)+1)
		case e.Flags&extent.Present == 0 && e.Flags&extent.Zero != 0:
			return errComposed
		}
		d.maxFile = max(d.maxFile, int(e.File))
		if err := d.out.Add(e); err != nil {
			return err
		}
		d.decoded++
	}
	return nil
}

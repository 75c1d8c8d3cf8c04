package vhdx

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// change is what a descriptor of the log does to a part of the file: it zeroes it, or writes a
// sector of data.
type change struct {
	off, length uint64 // in the file
	data        uint64 // file offset of the data sector, 0 if the part becomes zero
	lead        [dataFrom]byte
	trail       [logSector - dataTo]byte
}

// overlay is the device as it is once the log has been replayed. It writes nothing, but changes
// what is read.
type overlay struct {
	block.Device
	list    []change // in the order in which they are made
	stage   []byte   // memory for data sectors: that of the log, which is not needed any more
	pending []int    // changes whose data sectors will be read into stage
	reqs    []block.Request
}

// add adds the changes of the entry at byte at of the log.
func (o *overlay) add(l *log, at uint64) *fault.Fault {
	e, _, f := l.entry(at)
	if f != nil {
		return f
	}
	le := binary.LittleEndian
	data := l.next(at, e.headSectors*logSector)
	_, f = l.eachDescriptor(&e, func(_ uint64, d []byte) bool {
		c := change{off: le.Uint64(d[16:]), length: le.Uint64(d[8:])}
		if string(d[:4]) == dataDesc {
			c.length, c.data = logSector, l.off+data
			copy(c.lead[:], d[8:])
			copy(c.trail[:], d[4:])
			data = l.next(data, logSector)
		}
		if c.off > block.MaxOffset || c.length == 0 {
			return true
		}
		c.length = min(c.length, block.MaxOffset-c.off)
		o.list = append(o.list, c)
		return len(o.list) <= maxChanges
	})
	if f == nil && len(o.list) > maxChanges {
		f = fault.New(fault.VhdxLogChanges, l.off+at, maxChanges)
	}
	return f
}

// Read reads from the device and makes the changes of the log.
func (o *overlay) Read(reqs []block.Request) *fault.Fault {
	if f := o.Device.Read(reqs); f != nil {
		return f
	}
	for _, r := range reqs {
		if f := o.apply(r); f != nil {
			return f
		}
	}
	return nil
}

// apply makes the changes to the bytes that a request has read.
func (o *overlay) apply(r block.Request) *fault.Fault {
	end := r.Off + uint64(len(r.Buf))
	for i := range o.list {
		c := &o.list[i]
		if c.off >= end || c.off+c.length <= r.Off {
			continue
		}
		if c.data != 0 {
			if len(o.pending) == len(o.stage)/logSector {
				if f := o.flush(r); f != nil {
					return f
				}
			}
			b := o.stage[len(o.pending)*logSector:][:logSector]
			o.pending = append(o.pending, i)
			o.reqs = append(o.reqs, block.Request{Off: c.data, Buf: b})
			continue
		}
		if f := o.flush(r); f != nil {
			return f
		}
		clear(r.Buf[max(c.off, r.Off)-r.Off : min(c.off+c.length, end)-r.Off])
	}
	return o.flush(r)
}

// flush reads the pending data sectors and copies them, in order, over the bytes that r has
// read.
func (o *overlay) flush(r block.Request) *fault.Fault {
	if len(o.pending) == 0 {
		return nil
	}
	f := o.Device.Read(o.reqs)
	for k, i := range o.pending {
		c, b := &o.list[i], o.stage[k*logSector:][:logSector]
		copy(b, c.lead[:])
		copy(b[dataTo:], c.trail[:])
		if c.off < r.Off {
			copy(r.Buf, b[r.Off-c.off:])
		} else {
			copy(r.Buf[c.off-r.Off:], b)
		}
	}
	o.pending, o.reqs = o.pending[:0], o.reqs[:0]
	return f
}

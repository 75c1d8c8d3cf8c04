package vhdx

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// change is what a descriptor of the log does to a part of the file: it makes it zero, or a sector of data.
type change struct {
	off, length uint64 // in the file
	data        uint64 // where the data sector is in the file, 0 if the part becomes zero
	lead        [dataFrom]byte
	trail       [logSector - dataTo]byte
}

// overlay is the file as it is when the log has been replayed, where that matters: nothing is written, but what is read of the
// metadata is changed on its way.
type overlay struct {
	dev     block.Device
	list    []change // in the order in which they happen
	stage   []byte   // memory for data sectors: the log's, which nobody needs any more
	pending []int    // changes whose data sectors are to be read into stage
	reqs    []block.Request
}

// add remembers the changes of the entry at a byte of the log.
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

// read reads metadata as it is when the log has been replayed.
func (m *image) read(reqs ...block.Request) *fault.Fault {
	if f := m.dev.Read(reqs); f != nil || len(m.changes.list) == 0 {
		return f
	}
	for _, r := range reqs {
		if f := m.changes.apply(r); f != nil {
			return f
		}
	}
	return nil
}

// apply makes the changes to what a request has read.
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

// flush reads the data sectors that are pending and puts them, in order, over what r has read.
func (o *overlay) flush(r block.Request) *fault.Fault {
	if len(o.pending) == 0 {
		return nil
	}
	f := o.dev.Read(o.reqs)
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

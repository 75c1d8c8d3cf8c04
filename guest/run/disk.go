package run

import (
	"math"

	"instarfs/guest/abi"
	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// bounceLen is the buffer, bytes, for requests that the host cannot read into where they are.
const bounceLen = 65536

// disk is the image as format code sees it. It implements block.Device: it asks the host for whole
// sectors, in batches, and for nothing that stands in the mirror.
type disk struct {
	port    Port
	c       *abi.Config
	mirror  []byte
	bounce  []byte
	buffers []byte // what Buffer has not handed out yet
	batch   []Read // queued and not yet asked for
}

func newDisk(p Port, c *abi.Config) (*disk, *fault.Fault) {
	if c.DeviceSize > math.MaxInt64 {
		return nil, fault.New(fault.DeviceTooLarge, 0, c.DeviceSize)
	}
	memory := p.Buffers()
	return &disk{
		port: p, c: c, mirror: p.Mirror(), bounce: memory[:bounceLen], buffers: memory[bounceLen:],
		batch: make([]Read, 0, abi.MaxRequests),
	}, nil
}

// Size implements block.Device.
func (d *disk) Size() uint64 { return d.c.DeviceSize }

// Buffer implements block.Device: it hands out whole sectors of memory.
func (d *disk) Buffer(n int) []byte {
	if n < 0 || n > len(d.buffers) {
		return nil
	}
	b := d.buffers[:n:n]
	d.buffers = d.buffers[min(int(wholeSectors(uint64(n))), len(d.buffers)):]
	return b
}

// Read implements block.Device. What stands in the mirror is copied from there. The first block is
// read into it when something of it is asked for, and then never again.
func (d *disk) Read(reqs []block.Request) *fault.Fault {
	for i := range reqs {
		if f := d.read(reqs[i].Off, reqs[i].Buf); f != nil {
			return f
		}
	}
	return d.flush()
}

func (d *disk) read(off uint64, b []byte) *fault.Fault {
	if off >= d.Size() {
		clear(b)
		return nil
	}
	inside := min(uint64(len(b)), d.Size()-off)
	if off+inside <= uint64(d.c.SectorSize) {
		if f := d.readHead(); f != nil {
			return f
		}
	}
	if d.mirrored(off, inside) {
		clear(b[copy(b, d.mirror[off:][:inside]):])
		return nil
	}
	sectors := wholeSectors(inside)
	if off%abi.SectorLen != 0 || sectors > uint64(len(b)) || !d.port.Reaches(b) {
		clear(b[inside:])
		return d.piecewise(off, b[:inside])
	}
	clear(b[sectors:])
	return d.queue(off/abi.SectorLen, b[:sectors])
}

// readHead reads the first block, once. A raw image whose format is known is thus never read at
// all: reading would bring pages into the host's cache, and make what was fallocated and never
// written look like data.
func (d *disk) readHead() *fault.Fault {
	if d.c.Mirror&1 != 0 {
		return nil
	}
	n := min(uint64(d.c.SectorSize), wholeSectors(d.Size()))
	if f := d.queue(0, d.mirror[:n]); f != nil {
		return f
	}
	d.c.Mirror |= 1
	return d.flush()
}

// mirrored reports whether n bytes of the device at off stand in the mirror.
func (d *disk) mirrored(off, n uint64) bool {
	piece := off / abi.MirrorStride
	return piece < abi.MirrorPieces && d.c.Mirror>>piece&1 != 0 &&
		off%abi.MirrorStride+n <= d.c.MirrorPiece(piece)
}

// wholeSectors rounds a number of bytes up to sectors.
func wholeSectors(n uint64) uint64 { return (n + abi.SectorLen - 1) &^ (abi.SectorLen - 1) }

// piecewise reads what is not whole sectors, or not where the host can read into, by way of a
// buffer that is.
func (d *disk) piecewise(off uint64, b []byte) *fault.Fault {
	if f := d.flush(); f != nil {
		return f
	}
	for len(b) > 0 {
		skip := off % abi.SectorLen
		want := min(uint64(len(b))+skip, bounceLen)
		if f := d.queue(off/abi.SectorLen, d.bounce[:wholeSectors(want)]); f != nil {
			return f
		}
		if f := d.flush(); f != nil {
			return f
		}
		n := copy(b, d.bounce[skip:want])
		b, off = b[n:], off+uint64(n)
	}
	return nil
}

// queue adds a request.
func (d *disk) queue(sector uint64, b []byte) *fault.Fault {
	d.batch = append(d.batch, Read{sector, b})
	if len(d.batch) == abi.MaxRequests {
		return d.flush()
	}
	return nil
}

// flush has the host serve what is queued.
func (d *disk) flush() *fault.Fault {
	batch := d.batch
	d.batch = batch[:0]
	if len(batch) == 0 {
		return nil
	}
	if n := d.port.Read(batch); n < len(batch) {
		return fault.New(fault.DeviceRead, batch[n].Sector*abi.SectorLen)
	}
	return nil
}

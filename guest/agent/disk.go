package main

import (
	"encoding/binary"
	"math"

	"instarfs/guest/abi"
	"instarfs/guest/block"
	"instarfs/guest/fault"
)

var le = binary.LittleEndian

// Layout of the DMA area: headers and status bytes of MaxRequests requests, a buffer for requests that the device cannot
// serve in place, and what Buffer hands out.
const (
	headersOffset = abi.DMAOffset
	statusOffset  = headersOffset + abi.MaxRequests*abi.BlkHeaderLen
	bounceOffset  = abi.DMAOffset + 0x2000
	bounceLen     = 65536
	buffersOffset = bounceOffset + bounceLen
)

// Layout of the virtqueue (virtio 1.2, 2.7).
const (
	descOffset  = abi.QueueOffset
	availOffset = descOffset + abi.QueueSize*abi.DescLen
	usedOffset  = (availOffset + abi.AvailHeaderLen + abi.QueueSize*abi.AvailEntryLen + 3) &^ 3
)

// disk is the driver of the virtio block device: modern, split queue, polled. A request is complete when the write to
// QueueNotify returns. It implements block.Device.
type disk struct {
	shared  []byte
	size    uint64 // bytes
	mirror  uint32 // the pieces of the device that stand in the mirror, by number
	buffers uint64 // offset of the next free byte for Buffer
	avail   uint16
	batch   int // requests queued and not yet notified

	blockSize uint64 // bytes
}

func newDisk(shared []byte) *disk { return &disk{shared: shared, buffers: buffersOffset} }

// initialise brings the device up (virtio 1.2, 3.1.1). It reports whether the device is the one that is expected.
func (d *disk) initialise() bool {
	const dev = abi.DeviceVA
	if load32(dev+abi.MagicValue) != abi.MagicNumber || load32(dev+abi.MMIOVersion) != abi.ModernVersion ||
		load32(dev+abi.DeviceID) != abi.BlockDeviceID {
		return false
	}
	store32(dev+abi.DeviceStatus, 0)
	status := uint32(abi.StatusAcknowledge | abi.StatusDriver)
	store32(dev+abi.DeviceStatus, status)
	// Read-only is what the device is; block size and capacity come with the configuration of each run.
	for sel, bits := range []uint32{abi.FeatureBlkReadOnly, abi.FeatureVersion1 >> 32} {
		store32(dev+abi.DeviceFeaturesSel, uint32(sel))
		if load32(dev+abi.DeviceFeatures)&bits != bits {
			return false
		}
		store32(dev+abi.DriverFeaturesSel, uint32(sel))
		store32(dev+abi.DriverFeatures, bits)
	}
	status |= abi.StatusFeaturesOK
	store32(dev+abi.DeviceStatus, status)
	if load32(dev+abi.DeviceStatus)&abi.StatusFeaturesOK == 0 {
		return false
	}
	store32(dev+abi.QueueSel, 0)
	if load32(dev+abi.QueueNumMax) < abi.QueueSize {
		return false
	}
	store32(dev+abi.QueueNum, abi.QueueSize)
	const high = abi.SharedGPA >> 32
	store32(dev+abi.QueueDescLow, abi.SharedGPA+descOffset)
	store32(dev+abi.QueueDescHigh, high)
	store32(dev+abi.QueueDriverLow, abi.SharedGPA+availOffset)
	store32(dev+abi.QueueDriverHigh, high)
	store32(dev+abi.QueueDeviceLow, abi.SharedGPA+usedOffset)
	store32(dev+abi.QueueDeviceHigh, high)
	store32(dev+abi.QueueReady, 1)
	store32(dev+abi.DeviceStatus, status|abi.StatusDriverOK)
	return true
}

// attach starts a run over the device that c describes.
func (d *disk) attach(c *abi.Config) *fault.Fault {
	if c.DeviceSize > math.MaxInt64 {
		return fault.New(fault.DeviceTooLarge, 0, c.DeviceSize)
	}
	d.size, d.blockSize, d.mirror = c.DeviceSize, uint64(c.SectorSize), c.Mirror
	return nil
}

// Size implements block.Device.
func (d *disk) Size() uint64 { return d.size }

// Buffer implements block.Device: it hands out DMA memory, whole sectors.
func (d *disk) Buffer(n int) []byte {
	if n < 0 || uint64(n) > abi.SharedLen-d.buffers {
		return nil
	}
	b := d.shared[d.buffers:][:n:n]
	d.buffers = min(d.buffers+wholeSectors(uint64(n)), abi.SharedLen)
	return b
}

// Read implements block.Device. What stands in the mirror is copied from there. The first block is read into it when
// something of it is asked for, and then never again.
func (d *disk) Read(reqs []block.Request) *fault.Fault {
	for i := range reqs {
		r := &reqs[i]
		if r.Off >= d.size {
			clear(r.Buf)
			continue
		}
		inside := min(uint64(len(r.Buf)), d.size-r.Off)
		if r.Off+inside <= d.blockSize {
			if f := d.readHead(); f != nil {
				return f
			}
		}
		if d.mirrored(r.Off, inside) {
			clear(r.Buf[copy(r.Buf, d.shared[abi.MirrorOffset+r.Off:][:inside]):])
			continue
		}
		sectors := wholeSectors(inside)
		gpa, ok := physical(r.Buf)
		if !ok || r.Off%abi.SectorLen != 0 || sectors > uint64(len(r.Buf)) {
			if f := d.bounce(r.Off, r.Buf[:inside]); f != nil {
				return f
			}
			clear(r.Buf[inside:])
			continue
		}
		clear(r.Buf[sectors:])
		d.queue(r.Off/abi.SectorLen, gpa, uint32(sectors))
		if d.batch == abi.MaxRequests {
			if f := d.notify(); f != nil {
				return f
			}
		}
	}
	return d.notify()
}

// readHead reads the first block, once. A raw image whose format is known is thus never read at all: reading would bring
// pages into the host's cache, and make what was fallocated and never written look like data.
func (d *disk) readHead() *fault.Fault {
	if d.mirror&1 != 0 {
		return nil
	}
	if f := d.notify(); f != nil {
		return f
	}
	d.queue(0, abi.SharedGPA+abi.MirrorOffset, uint32(min(d.blockSize, wholeSectors(d.size))))
	if f := d.notify(); f != nil {
		return f
	}
	d.mirror |= 1
	return nil
}

// mirrored reports whether n bytes of the device at off stand in the mirror.
func (d *disk) mirrored(off, n uint64) bool {
	piece := off / abi.MirrorStride
	if piece >= abi.MirrorPieces || d.mirror>>piece&1 == 0 {
		return false
	}
	have := uint64(abi.MirrorPieceLen)
	if piece == 0 {
		have = d.blockSize
	}
	return off%abi.MirrorStride+n <= have
}

// wholeSectors rounds a number of bytes up to sectors.
func wholeSectors(n uint64) uint64 { return (n + abi.SectorLen - 1) &^ (abi.SectorLen - 1) }

// bounce reads what is not whole sectors, or not into DMA memory, by way of a buffer that is.
func (d *disk) bounce(off uint64, b []byte) *fault.Fault {
	if f := d.notify(); f != nil {
		return f
	}
	for len(b) > 0 {
		skip := off % abi.SectorLen
		want := min(uint64(len(b))+skip, bounceLen)
		d.queue(off/abi.SectorLen, abi.SharedGPA+bounceOffset, uint32(wholeSectors(want)))
		if f := d.notify(); f != nil {
			return f
		}
		n := copy(b, d.shared[bounceOffset+skip:bounceOffset+want])
		b, off = b[n:], off+uint64(n)
	}
	return nil
}

// queue adds a request of three descriptors: header, data, status.
func (d *disk) queue(sector, gpa uint64, n uint32) {
	i := d.batch
	d.batch++
	header := d.shared[headersOffset+i*abi.BlkHeaderLen:][:abi.BlkHeaderLen]
	le.PutUint32(header, abi.BlkTypeIn)
	le.PutUint32(header[4:], 0)
	le.PutUint64(header[8:], sector)
	d.shared[statusOffset+i] = 0xff
	d.descriptor(3*i, abi.SharedGPA+headersOffset+uint64(i)*abi.BlkHeaderLen, abi.BlkHeaderLen, abi.DescFlagNext)
	d.descriptor(3*i+1, gpa, n, abi.DescFlagNext|abi.DescFlagWrite)
	d.descriptor(3*i+2, abi.SharedGPA+statusOffset+uint64(i), 1, abi.DescFlagWrite)
	slot := uint64(d.avail) % abi.QueueSize
	le.PutUint16(d.shared[availOffset+abi.AvailHeaderLen+slot*abi.AvailEntryLen:], uint16(3*i))
	d.avail++
}

func (d *disk) descriptor(i int, addr uint64, n uint32, flags uint16) {
	b := d.shared[descOffset+i*abi.DescLen:][:abi.DescLen]
	le.PutUint64(b, addr)
	le.PutUint32(b[8:], n)
	le.PutUint16(b[12:], flags)
	le.PutUint16(b[14:], uint16(i+1))
}

// notify has the device serve what is queued, and checks every status.
func (d *disk) notify() *fault.Fault {
	n := d.batch
	if n == 0 {
		return nil
	}
	d.batch = 0
	le.PutUint16(d.shared[availOffset+2:], d.avail)
	store32(abi.DeviceVA+abi.QueueNotify, 0)
	served := le.Uint16(d.shared[usedOffset+2:]) == d.avail
	for i := range n {
		if !served || d.shared[statusOffset+i] != abi.BlkStatusOK {
			return fault.New(fault.DeviceRead, le.Uint64(d.shared[headersOffset+i*abi.BlkHeaderLen+8:])*abi.SectorLen)
		}
	}
	return nil
}

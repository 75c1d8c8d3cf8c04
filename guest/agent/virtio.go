//go:build amd64

package main

import (
	"encoding/binary"

	"instarfs/guest/abi"
	"instarfs/guest/run"
)

var le = binary.LittleEndian

// Layout of the DMA area: headers and status bytes of MaxRequests requests, and what Buffers hands
// out.
const (
	headersOffset = abi.DMAOffset
	statusOffset  = headersOffset + abi.MaxRequests*abi.BlkHeaderLen
	buffersOffset = abi.DMAOffset + abi.DMALen - abi.BuffersLen
)

// Layout of the virtqueue (virtio 1.2, 2.7).
const (
	descOffset  = abi.QueueOffset
	availOffset = descOffset + abi.QueueSize*abi.DescLen
	usedOffset  = (availOffset + abi.AvailHeaderLen + abi.QueueSize*abi.AvailEntryLen + 3) &^ 3
)

// device is the driver of the virtio block device: modern, split queue, polled. A request is
// complete when the write to QueueNotify returns. It implements run.Port.
type device struct {
	shared []byte
	avail  uint16
}

func newDevice(shared []byte) *device { return &device{shared: shared} }

// initialise brings the device up (virtio 1.2, 3.1.1). It reports whether the device is the one
// that is expected.
func (d *device) initialise() bool {
	const dev = abi.DeviceVA
	if load32(dev+abi.MagicValue) != abi.MagicNumber ||
		load32(dev+abi.MMIOVersion) != abi.ModernVersion ||
		load32(dev+abi.DeviceID) != abi.BlockDeviceID {
		return false
	}
	store32(dev+abi.DeviceStatus, 0)
	status := uint32(abi.StatusAcknowledge | abi.StatusDriver)
	store32(dev+abi.DeviceStatus, status)
	// Read-only is what the device is; block size and capacity come with the configuration of each
	// run.
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

// Mirror implements run.Port.
func (d *device) Mirror() []byte { return d.shared[abi.MirrorOffset:][:abi.MirrorLen] }

// Buffers implements run.Port.
func (d *device) Buffers() []byte { return d.shared[buffersOffset:][:abi.BuffersLen] }

// Ring implements run.Port.
func (d *device) Ring() []byte { return d.shared[abi.RingOffset:][:abi.RingLen] }

// Reaches implements run.Port: the device touches the shared window only.
func (d *device) Reaches(b []byte) bool {
	_, ok := physical(b)
	return ok
}

// Read implements run.Port. It queues requests of three descriptors: header, data, status.
func (d *device) Read(batch []run.Read) int {
	for i, r := range batch {
		gpa, _ := physical(r.Buf)
		header := d.shared[headersOffset+i*abi.BlkHeaderLen:][:abi.BlkHeaderLen]
		le.PutUint32(header, abi.BlkTypeIn)
		le.PutUint32(header[4:], 0)
		le.PutUint64(header[8:], r.Sector)
		d.shared[statusOffset+i] = 0xff
		at := abi.SharedGPA + headersOffset + uint64(i)*abi.BlkHeaderLen
		d.descriptor(3*i, at, abi.BlkHeaderLen, abi.DescFlagNext)
		d.descriptor(3*i+1, gpa, uint32(len(r.Buf)), abi.DescFlagNext|abi.DescFlagWrite)
		d.descriptor(3*i+2, abi.SharedGPA+statusOffset+uint64(i), 1, abi.DescFlagWrite)
		slot := uint64(d.avail) % abi.QueueSize
		le.PutUint16(d.shared[availOffset+abi.AvailHeaderLen+slot*abi.AvailEntryLen:], uint16(3*i))
		d.avail++
	}
	le.PutUint16(d.shared[availOffset+2:], d.avail)
	store32(abi.DeviceVA+abi.QueueNotify, 0)
	if le.Uint16(d.shared[usedOffset+2:]) != d.avail {
		return 0
	}
	for i := range batch {
		if d.shared[statusOffset+i] != abi.BlkStatusOK {
			return i
		}
	}
	return len(batch)
}

func (d *device) descriptor(i int, addr uint64, n uint32, flags uint16) {
	b := d.shared[descOffset+i*abi.DescLen:][:abi.DescLen]
	le.PutUint64(b, addr)
	le.PutUint32(b[8:], n)
	le.PutUint16(b[12:], flags)
	le.PutUint16(b[14:], uint16(i+1))
}

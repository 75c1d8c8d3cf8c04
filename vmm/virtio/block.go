// Package virtio is the device side of a read-only virtio-blk over virtio-mmio (virtio 1.2,
// sections 4.2, 2.7 and 5.2, modern, split virtqueue, polled). The driver is the guest: every
// address, index and length that it wrote is checked where it is used, and a driver that breaks the
// protocol gets a *ProtocolError, which ends its run. The package knows neither KVM nor files: it
// sees guest memory through Memory and the disk through Backend.
package virtio

import (
	"fmt"

	"instarfs/guest/abi"
)

// Memory is the part of guest memory that the device may touch. The slices are valid until the
// guest runs again.
type Memory interface {
	// Readable returns the n bytes from guest-physical address gpa, or an error when they are not
	// all inside.
	Readable(gpa uint64, n uint64) ([]byte, error)
	// Writable is Readable for bytes that the device is going to change.
	Writable(gpa uint64, n uint64) ([]byte, error)
}

// ProtocolError says what a driver did that the specification forbids.
type ProtocolError struct{ What string }

func (e *ProtocolError) Error() string { return "virtio-blk: " + e.What }

func violation(format string, args ...any) error {
	return &ProtocolError{fmt.Sprintf(format, args...)}
}

// Registers are the state of the device that the driver sets up. They can be copied: a cloned
// machine takes those of the snapshot.
type Registers struct {
	status            uint32
	deviceFeaturesSel uint32
	driverFeaturesSel uint32
	driverFeatures    uint64
	queueSel          uint32
	queueNum          uint32
	queueReady        uint32
	desc, avail, used uint64 // guest-physical addresses
	availNext         uint16 // next entry of the available ring to look at, free running
}

// Words returns the registers as numbers, for RegistersOf.
func (r *Registers) Words() [10]uint64 {
	return [...]uint64{uint64(r.status), uint64(r.deviceFeaturesSel), uint64(r.driverFeaturesSel),
		r.driverFeatures, uint64(r.queueSel), uint64(r.queueNum)<<1 | uint64(r.queueReady&1),
		r.desc, r.avail, r.used, uint64(r.availNext)}
}

// RegistersOf makes registers of numbers. It fails if a driver could not have set them so.
func RegistersOf(w [10]uint64) (r Registers, err error) {
	r = Registers{status: uint32(w[0]), deviceFeaturesSel: uint32(w[1]),
		driverFeaturesSel: uint32(w[2]), driverFeatures: w[3], queueSel: uint32(w[4]),
		queueNum: uint32(w[5] >> 1), queueReady: uint32(w[5] & 1),
		desc: w[6], avail: w[7], used: w[8], availNext: uint16(w[9])}
	n := r.queueNum
	if r.Words() != w || n > queueSizeMax || n&(n-1) != 0 || n == 0 && r.queueReady != 0 {
		return Registers{}, violation("registers %#x, which no driver sets", w)
	}
	return r, nil
}

// Backend is the disk of one run.
type Backend interface {
	// Sectors is the capacity, and BlockSize what the configuration space says of blocks, bytes.
	Sectors() uint64
	BlockSize() uint32
	// ReadSectors fills buf, of any length, from a sector on. Not ok is an error status for the
	// driver, an error ends the run.
	ReadSectors(buf []byte, sector uint64) (ok bool, err error)
}

// none is the backend of a device without one.
type none struct{}

func (none) Sectors() uint64   { return 0 }
func (none) BlockSize() uint32 { return 0 }
func (none) ReadSectors(buf []byte, sector uint64) (bool, error) {
	return len(buf) == 0 && sector == 0, nil
}

// Block is the device. It is not safe for concurrent use.
type Block struct {
	Registers
	mem     Memory
	backend Backend
}

// NewBlock makes a device without a backend, as it is after a reset.
func NewBlock(mem Memory) *Block { return &Block{mem: mem, backend: none{}} }

// Attach gives the device a disk.
func (d *Block) Attach(b Backend) { d.backend = b }

// Detach takes the disk away.
func (d *Block) Detach() { d.backend = none{} }

const queueSizeMax = abi.QueueSize

// Load answers a read of a register of n bytes at an offset in the device's page. Reserved
// registers read as 0.
func (d *Block) Load(off uint64, n uint32) (uint64, error) {
	if off >= abi.DeviceConfig {
		return d.loadConfig(off-abi.DeviceConfig, n)
	}
	if n != 4 || off%4 != 0 {
		return 0, violation("read of %d bytes at register %#x", n, off)
	}
	switch off {
	case abi.MagicValue:
		return abi.MagicNumber, nil
	case abi.MMIOVersion:
		return abi.ModernVersion, nil
	case abi.DeviceID:
		return abi.BlockDeviceID, nil
	case abi.DeviceFeatures:
		if d.deviceFeaturesSel > 1 {
			return 0, nil
		}
		return uint64(uint32(deviceFeatures >> (32 * d.deviceFeaturesSel))), nil
	case abi.QueueNumMax:
		if d.queueSel != 0 {
			return 0, nil
		}
		return queueSizeMax, nil
	case abi.QueueReady:
		return uint64(d.queueReady), nil
	case abi.DeviceStatus:
		return uint64(d.status), nil
	}
	return 0, nil
}

const deviceFeatures uint64 = abi.FeatureBlkReadOnly | abi.FeatureBlkSize | abi.FeatureVersion1

// loadConfig reads the configuration space (5.2.4): capacity u64 at 0 in sectors, blk_size u32 at
// 20.
func (d *Block) loadConfig(off uint64, n uint32) (uint64, error) {
	if n != 4 || off%4 != 0 {
		return 0, violation("read of %d bytes at configuration offset %#x", n, off)
	}
	switch off {
	case 0:
		return uint64(uint32(d.backend.Sectors())), nil
	case 4:
		return d.backend.Sectors() >> 32, nil
	case 20:
		return uint64(d.backend.BlockSize()), nil
	}
	return 0, nil
}

// Store carries out a write of n bytes to a register. A write to QueueNotify serves every request
// that is available before it returns. Writes to read-only and reserved registers do nothing.
func (d *Block) Store(off uint64, n uint32, value uint64) error {
	if n != 4 || off%4 != 0 {
		return violation("write of %d bytes at register %#x", n, off)
	}
	v := uint32(value)
	low := func(p *uint64) { *p = *p&^0xffffffff | uint64(v) }
	high := func(p *uint64) { *p = *p&0xffffffff | uint64(v)<<32 }
	switch off {
	case abi.DeviceFeaturesSel:
		d.deviceFeaturesSel = v
	case abi.DriverFeaturesSel:
		d.driverFeaturesSel = v
	case abi.DriverFeatures:
		switch d.driverFeaturesSel {
		case 0:
			low(&d.driverFeatures)
		case 1:
			high(&d.driverFeatures)
		}
	case abi.DeviceStatus:
		return d.setStatus(v)
	case abi.QueueSel:
		d.queueSel = v
	case abi.QueueNotify:
		if v != 0 {
			return violation("notification of queue %d, there is only queue 0", v)
		}
		return d.serve()
	default:
		if d.queueSel == 0 {
			return d.storeQueue(off, v, low, high)
		}
	}
	return nil
}

func (d *Block) storeQueue(off uint64, v uint32, low, high func(*uint64)) error {
	if d.queueReady != 0 && off != abi.QueueReady {
		return nil // 4.2.2.2: the driver must not change a queue in use
	}
	switch off {
	case abi.QueueNum:
		if v == 0 || v > queueSizeMax || v&(v-1) != 0 {
			return violation("queue of %d descriptors, need a power of two up to %d", v,
				queueSizeMax)
		}
		d.queueNum = v
	case abi.QueueReady:
		if v == 1 && d.queueNum == 0 {
			return violation("queue is made ready before it has a size")
		}
		d.queueReady = v & 1
	case abi.QueueDescLow:
		low(&d.desc)
	case abi.QueueDescHigh:
		high(&d.desc)
	case abi.QueueDriverLow:
		low(&d.avail)
	case abi.QueueDriverHigh:
		high(&d.avail)
	case abi.QueueDeviceLow:
		low(&d.used)
	case abi.QueueDeviceHigh:
		high(&d.used)
	}
	return nil
}

// setStatus follows 3.1.1: 0 resets, FEATURES_OK sticks only when the driver accepted what the
// device needs.
func (d *Block) setStatus(v uint32) error {
	if v == 0 {
		d.Registers = Registers{}
		return nil
	}
	if v&abi.StatusFailed != 0 {
		return violation("the driver gave up")
	}
	if v&abi.StatusFeaturesOK != 0 &&
		(d.driverFeatures&^deviceFeatures != 0 || d.driverFeatures&abi.FeatureVersion1 == 0) {
		v &^= abi.StatusFeaturesOK
	}
	d.status = v
	return nil
}

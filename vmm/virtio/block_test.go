package virtio

import (
	"errors"
	"math"
	"testing"

	"instarfs/guest/abi"
)

func TestIdentity(t *testing.T) {
	d := newDriver(t, 8, make([]byte, 1000))
	for reg, want := range map[uint64]uint64{
		abi.MagicValue: 0x74726976, abi.MMIOVersion: 2, abi.DeviceID: 2, abi.VendorID: 0,
		abi.QueueNumMax: abi.QueueSize,
		abi.QueueReady:  1, abi.InterruptStatus: 0, abi.ConfigGeneration: 0, abi.DeviceStatus: 15,
		abi.DeviceConfig: 2, abi.DeviceConfig + 4: 0, abi.DeviceConfig + 20: 4096,
		abi.DeviceConfig + 8: 0,
		abi.QueueNotify:      0, 0x0a8: 0, 0xffc: 0,
	} {
		if got := d.get(reg); got != want {
			t.Errorf("register %#x is %#x, want %#x", reg, got, want)
		}
	}
	d.set(abi.QueueSel, 1)
	if got := d.get(abi.QueueNumMax); got != 0 {
		t.Errorf("queue 1 has %d descriptors", got)
	}
	d.Attach(&disk{size: math.MaxInt64, blockSize: 512})
	if got := d.get(abi.DeviceConfig) | d.get(abi.DeviceConfig+4)<<32; got != 1<<54 {
		t.Errorf("capacity of 2^63-1 bytes is %#x", got)
	}
	d.Detach()
	if got := d.get(abi.DeviceConfig) | d.get(abi.DeviceConfig+20); got != 0 {
		t.Errorf("no image, but %#x", got)
	}
}

func TestAccessesOfOtherSizes(t *testing.T) {
	d := newDriver(t, 8, nil)
	for _, a := range []struct {
		off uint64
		n   uint32
	}{{0, 1}, {0, 2}, {0, 8}, {1, 4}, {2, 4}, {0x101, 4}, {0x100, 8}, {0x100, 1}, {0xfff, 4},
		{0, 0}, {0, math.MaxUint32}} {
		_, err := d.Load(a.off, a.n)
		violates(t, err, "read of")
		violates(t, d.Store(a.off, a.n, 0), "write of")
	}
}

func TestFeatures(t *testing.T) {
	const all = abi.FeatureVersion1 | abi.FeatureBlkReadOnly | abi.FeatureBlkSize
	d := NewBlock(newRAM())
	set := func(reg, v uint64) {
		t.Helper()
		if err := d.Store(reg, 4, v); err != nil {
			t.Fatal(err)
		}
	}
	get := func(reg uint64) uint64 {
		v, err := d.Load(reg, 4)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	offered := uint64(0)
	for sel := range uint64(4) {
		set(abi.DeviceFeaturesSel, sel)
		if sel < 2 {
			offered |= get(abi.DeviceFeatures) << (32 * sel)
		} else if get(abi.DeviceFeatures) != 0 {
			t.Errorf("features behind bit %d", 32*sel)
		}
	}
	if offered != all {
		t.Errorf("offers %#x", offered)
	}
	for _, test := range []struct {
		accepted uint64
		ok       bool
	}{
		{all, true}, {abi.FeatureVersion1, true},
		{abi.FeatureVersion1 | abi.FeatureBlkReadOnly, true},
		{0, false}, {abi.FeatureBlkReadOnly, false}, {all | 1<<9, false}, {all | 1<<33, false},
		{math.MaxUint64, false},
	} {
		set(abi.DeviceStatus, 0)
		for sel := range uint64(2) {
			set(abi.DriverFeaturesSel, sel)
			set(abi.DriverFeatures, test.accepted>>(32*sel))
		}
		set(abi.DriverFeaturesSel, 7)
		set(abi.DriverFeatures, math.MaxUint32) // of no feature
		set(abi.DeviceStatus, abi.StatusAcknowledge|abi.StatusDriver|abi.StatusFeaturesOK)
		if got := get(abi.DeviceStatus)&abi.StatusFeaturesOK != 0; got != test.ok {
			t.Errorf("accepting %#x: FEATURES_OK is %v", test.accepted, got)
		}
	}
	violates(t, d.Store(abi.DeviceStatus, 4, abi.StatusFailed|1), "gave up")
}

func TestQueueRegisters(t *testing.T) {
	d := newDriver(t, 8, nil)
	// A queue in use stays as it is.
	d.set(abi.QueueNum, 3)
	d.set(abi.QueueDescLow, 1)
	d.set(abi.QueueDriverHigh, 1)
	if d.queueNum != 8 || d.Registers.desc != descAt || d.Registers.avail != availAt {
		t.Errorf("%+v", d.Registers)
	}
	// Other queues do not exist.
	d.set(abi.QueueSel, 1)
	d.set(abi.QueueReady, 0)
	d.set(abi.QueueSel, 0)
	if d.get(abi.QueueReady) != 1 {
		t.Error("queue 1 is queue 0")
	}
	violates(t, d.Store(abi.QueueNotify, 4, 1), "queue 1")
	// A reset forgets everything.
	d.set(abi.DeviceStatus, 0)
	if d.Registers != (Registers{}) {
		t.Errorf("%+v", d.Registers)
	}
	violates(t, d.notify(), "before the device")
	violates(t, d.Store(abi.QueueReady, 4, 1), "before it has a size")
	for _, n := range []uint64{0, 3, 6, abi.QueueSize + 1, 2 * abi.QueueSize, math.MaxUint32} {
		violates(t, d.Store(abi.QueueNum, 4, n), "power of two")
	}
	for n := uint64(1); n <= abi.QueueSize; n *= 2 {
		d.set(abi.QueueNum, n)
	}
	for reg, v := range map[uint64]uint64{
		abi.QueueDescLow: 1, abi.QueueDescHigh: 2, abi.QueueDriverLow: 3, abi.QueueDriverHigh: 4,
		abi.QueueDeviceLow:  5,
		abi.QueueDeviceHigh: 6,
	} {
		d.set(reg, v)
	}
	if d.Registers.desc != 2<<32|1 || d.Registers.avail != 4<<32|3 || d.Registers.used != 6<<32|5 {
		t.Errorf("%+v", d.Registers)
	}
	d.set(abi.QueueReady, 1)
	violates(t, d.notify(), "before the device") // DRIVER_OK is missing
	d.set(abi.DeviceStatus, 15)
	violates(t, d.notify(), "descriptor table")
}

// TestNoImage: a guest that notifies before a run has begun reads nothing.
func TestNoImage(t *testing.T) {
	d := newDriver(t, 8, nil)
	d.Detach()
	d.request(0, abi.BlkTypeIn, 0, dataAt, 0)
	d.request(3, abi.BlkTypeIn, 0, dataAt, 512)
	d.serve(0, 3)
	if d.status(0) != abi.BlkStatusOK || d.status(3) != abi.BlkStatusIOErr {
		t.Error(d.status(0), d.status(3))
	}
}

// TestEndOfReads: a disk that allows no more ends the run, and not only the request.
func TestEndOfReads(t *testing.T) {
	d := newDriver(t, 8, counting(4096))
	d.disk.limit = 1024
	d.request(0, abi.BlkTypeIn, 0, dataAt, 512)
	d.serve(0)
	d.serve(0)
	d.offer(0)
	if err := d.notify(); !errors.Is(err, errLimit) {
		t.Fatal(err)
	}
}

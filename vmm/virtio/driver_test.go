package virtio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"instarfs/guest/abi"
)

// ram is guest memory of which the device may touch all, from guest-physical address ramBase on. It
// counts the bytes that it was asked for.
type ram struct {
	b     []byte
	asked uint64
}

const ramBase, ramLen = 0x10000, 0x10000

func newRAM() *ram { return &ram{b: make([]byte, ramLen)} }

func (m *ram) Readable(gpa, n uint64) ([]byte, error) {
	if gpa < ramBase || gpa-ramBase > ramLen || n > ramLen-(gpa-ramBase) {
		return nil, fmt.Errorf("range %#x+%#x", gpa, n)
	}
	m.asked += n
	return m.b[gpa-ramBase:][:n:n], nil
}

func (m *ram) Writable(gpa, n uint64) ([]byte, error) { return m.Readable(gpa, n) }

// Where the driver of the tests puts things in its memory.
const (
	descAt   = ramBase
	availAt  = ramBase + 0x1000
	usedAt   = ramBase + 0x2000
	headerAt = ramBase + 0x3000
	statusAt = ramBase + 0x3800
	dataAt   = ramBase + 0x8000
)

// disk is a backend of whole sectors.
type disk struct {
	image     io.ReaderAt
	size      uint64 // bytes
	blockSize uint32
	limit     uint64 // bytes that may be read; then ReadSectors fails with errLimit
	read      uint64 // bytes
}

var errLimit = errors.New("more is read than may be")

func (d *disk) Sectors() uint64   { return (d.size + 511) / 512 }
func (d *disk) BlockSize() uint32 { return d.blockSize }

func (d *disk) ReadSectors(buf []byte, sector uint64) (bool, error) {
	n := uint64(len(buf))
	if n%512 != 0 || sector > d.Sectors() || n/512 > d.Sectors()-sector {
		return false, nil
	}
	if d.read += n; d.read > d.limit {
		return false, errLimit
	}
	inside := min(n, d.size-min(d.size, sector*512))
	m, _ := d.image.ReadAt(buf[:inside], int64(sector*512))
	return uint64(m) == inside, nil
}

// driver drives a device as a guest would.
type driver struct {
	*Block
	disk  *disk
	t     testing.TB
	mem   *ram
	num   uint16
	avail uint16
}

// newDriver brings up a device with a queue of num descriptors over an image of those bytes.
func newDriver(t testing.TB, num uint16, image []byte) *driver {
	t.Helper()
	mem := newRAM()
	d := &driver{
		Block: NewBlock(mem), t: t, mem: mem, num: num,
		disk: &disk{bytes.NewReader(image), uint64(len(image)), 4096, 1 << 20, 0},
	}
	d.Attach(d.disk)
	for _, r := range [][2]uint64{
		{abi.DeviceStatus, 0}, {abi.DeviceStatus, abi.StatusAcknowledge | abi.StatusDriver},
		{abi.DriverFeaturesSel, 1}, {abi.DriverFeatures, abi.FeatureVersion1 >> 32},
		{abi.DeviceStatus, abi.StatusAcknowledge | abi.StatusDriver | abi.StatusFeaturesOK},
		{abi.QueueSel, 0}, {abi.QueueNum, uint64(num)},
		{abi.QueueDescLow, descAt}, {abi.QueueDriverLow, availAt}, {abi.QueueDeviceLow, usedAt},
		{abi.QueueReady, 1},
		{abi.DeviceStatus,
			abi.StatusAcknowledge | abi.StatusDriver | abi.StatusFeaturesOK | abi.StatusDriverOK},
	} {
		d.set(r[0], r[1])
	}
	return d
}

func (d *driver) set(reg, v uint64) {
	d.t.Helper()
	if err := d.Store(reg, 4, v); err != nil {
		d.t.Fatalf("register %#x: %v", reg, err)
	}
}

func (d *driver) get(reg uint64) uint64 {
	d.t.Helper()
	v, err := d.Load(reg, 4)
	if err != nil {
		d.t.Fatalf("register %#x: %v", reg, err)
	}
	return v
}

// at is the memory from a guest-physical address on.
func (d *driver) at(gpa uint64) []byte { return d.mem.b[gpa-ramBase:] }

func (d *driver) desc(i int, addr uint64, n uint32, flags, next uint16) {
	b := d.at(descAt + uint64(i)*abi.DescLen)
	le.PutUint64(b, addr)
	le.PutUint32(b[8:], n)
	le.PutUint16(b[12:], flags)
	le.PutUint16(b[14:], next)
}

func (d *driver) header(i int, kind uint32, sector uint64) {
	b := d.at(headerAt + uint64(i)*abi.BlkHeaderLen)
	le.PutUint32(b, kind)
	le.PutUint64(b[8:], sector)
}

const readable, writable, more = 0, abi.DescFlagWrite, abi.DescFlagNext

// request puts a chain of three descriptors from i on: header, n bytes of data, status.
func (d *driver) request(i int, kind uint32, sector uint64, data uint64, n uint32) {
	d.header(i, kind, sector)
	d.at(statusAt + uint64(i))[0] = 0xff
	d.desc(i, headerAt+uint64(i)*abi.BlkHeaderLen, abi.BlkHeaderLen, more, uint16(i+1))
	d.desc(i+1, data, n, more|writable, uint16(i+2))
	d.desc(i+2, statusAt+uint64(i), 1, writable, 0)
}

// offer makes chains available, without a notification.
func (d *driver) offer(heads ...uint16) {
	for _, h := range heads {
		le.PutUint16(d.at(availAt+abi.AvailHeaderLen+uint64(d.avail%d.num)*abi.AvailEntryLen), h)
		d.avail++
	}
	le.PutUint16(d.at(availAt+2), d.avail)
}

func (d *driver) notify() error { return d.Store(abi.QueueNotify, 4, 0) }

// serve notifies, and checks that the device gives everything back.
func (d *driver) serve(heads ...uint16) {
	d.t.Helper()
	d.offer(heads...)
	if err := d.notify(); err != nil {
		d.t.Fatal(err)
	}
	if got := le.Uint16(d.at(usedAt + 2)); got != d.avail {
		d.t.Fatalf("used index %d, want %d", got, d.avail)
	}
}

// used is an entry of the used ring, counted from the last one back.
func (d *driver) used(back uint16) (id, n uint32) {
	b := d.at(usedAt + abi.UsedHeaderLen + uint64((d.avail-1-back)%d.num)*abi.UsedEntryLen)
	return le.Uint32(b), le.Uint32(b[4:])
}

func (d *driver) status(i int) byte { return d.at(statusAt + uint64(i))[0] }

// violates checks that an error is the driver's fault, and says what.
func violates(t testing.TB, err error, what string) {
	t.Helper()
	var p *ProtocolError
	if !errors.As(err, &p) || !bytes.Contains([]byte(err.Error()), []byte(what)) {
		t.Errorf("error is %v, want %q", err, what)
	}
}

// counting is an image of n bytes, byte i of which is a hash of i.
func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8 + 1)
	}
	return b
}

// reader makes an io.ReaderAt of a function.
type reader func(p []byte, off int64) (int, error)

func (r reader) ReadAt(p []byte, off int64) (int, error) { return r(p, off) }

var _ io.ReaderAt = reader(nil)

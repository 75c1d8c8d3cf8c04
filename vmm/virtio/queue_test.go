package virtio

import (
	"bytes"
	"math"
	"testing"

	"instarfs/guest/abi"
)

func TestRead(t *testing.T) {
	image := counting(64 << 10)
	d := newDriver(t, 16, image)
	d.request(0, abi.BlkTypeIn, 3, dataAt, 1024)
	d.request(3, abi.BlkTypeIn, 0, dataAt+0x1000, 512)
	d.request(6, abi.BlkTypeIn, 126, dataAt+0x2000, 1024) // the last two sectors
	d.serve(0, 3, 6)
	for i, want := range map[int][]byte{0: image[1536:2560], 0x1000: image[:512],
		0x2000: image[63<<10:]} {
		if !bytes.Equal(d.at(dataAt + uint64(i))[:len(want)], want) {
			t.Errorf("wrong bytes at %#x", i)
		}
	}
	for i := range 3 {
		if d.status(3*i) != abi.BlkStatusOK {
			t.Errorf("request %d has status %d", i, d.status(3*i))
		}
	}
	if id, n := d.used(1); id != 3 || n != 513 {
		t.Errorf("used entry of chain %d, %d bytes", id, n)
	}
	if d.disk.read != 2560 {
		t.Error(d.disk.read)
	}
}

// TestIndicesWrap: available and used indices run freely through 2^16, whatever the queue's size.
func TestIndicesWrap(t *testing.T) {
	for _, num := range []uint16{4, abi.QueueSize} {
		d := newDriver(t, num, counting(4096))
		d.request(0, abi.BlkTypeIn, 1, dataAt, 512)
		for range 1<<16 + 10 {
			d.offer(0)
			if err := d.notify(); err != nil {
				t.Fatal(err)
			}
			d.disk.read = 0
		}
		if got := le.Uint16(d.at(usedAt + 2)); got != 10 {
			t.Errorf("used index %d, want 10", got)
		}
	}
}

func TestSeveralBuffers(t *testing.T) {
	image := counting(8192)
	d := newDriver(t, 8, image)
	d.header(0, abi.BlkTypeIn, 2)
	d.desc(0, headerAt, 16, more, 4)
	d.desc(4, dataAt, 512, more|writable, 2)
	d.desc(2, dataAt+0x1000, 0, more|writable, 3)
	d.desc(3, dataAt+0x2000, 1024, more|writable, 1)
	d.desc(1, statusAt, 1, writable, 0)
	d.serve(0)
	if !bytes.Equal(d.at(dataAt)[:512], image[1024:1536]) ||
		!bytes.Equal(d.at(dataAt + 0x2000)[:1024], image[1536:2560]) {
		t.Error("wrong bytes")
	}
	if id, n := d.used(0); id != 0 || n != 1537 || d.status(0) != abi.BlkStatusOK {
		t.Error(id, n, d.status(0))
	}
}

// TestFailures: what is wrong with a request, but no breach of the protocol, is a status, and the
// queue goes on.
func TestFailures(t *testing.T) {
	const max = math.MaxUint64
	for _, test := range []struct {
		name   string
		kind   uint32
		sector uint64
		n      uint32
		want   byte
	}{
		{"write", 1, 0, 512, abi.BlkStatusUnsupp},
		{"flush", 4, 0, 0, abi.BlkStatusUnsupp},
		{"get id", 8, 0, 20, abi.BlkStatusUnsupp},
		{"unknown", 0xffffffff, 0, 512, abi.BlkStatusUnsupp},
		{"part of a sector", 0, 0, 511, abi.BlkStatusIOErr},
		{"sector and a bit", 0, 0, 513, abi.BlkStatusIOErr},
		{"behind the end", 0, 8, 512, abi.BlkStatusIOErr},
		{"over the end", 0, 7, 1024, abi.BlkStatusIOErr},
		{"far behind the end", 0, 1 << 54, 512, abi.BlkStatusIOErr},
		{"sector that wraps", 0, max, 512, abi.BlkStatusIOErr},
		{"sector that wraps to 0", 0, 1 << 55, 512, abi.BlkStatusIOErr},
		{"nothing at the end", 0, 8, 0, abi.BlkStatusOK},
		{"nothing behind the end", 0, 9, 0, abi.BlkStatusIOErr},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDriver(t, 8, counting(4096))
			copy(d.at(dataAt), bytes.Repeat([]byte{0xee}, 2048))
			d.request(0, test.kind, test.sector, dataAt, test.n)
			d.request(3, abi.BlkTypeIn, 0, dataAt+0x1000, 512)
			d.serve(0, 3)
			if got := d.status(0); got != test.want {
				t.Errorf("status %d, want %d", got, test.want)
			}
			if !bytes.Equal(d.at(dataAt)[:2048], bytes.Repeat([]byte{0xee}, 2048)) {
				t.Error("the buffer was written")
			}
			if d.status(3) != abi.BlkStatusOK || d.disk.read != 512 {
				t.Error(d.status(3), d.disk.read)
			}
		})
	}
}

// TestViolations: what breaks the protocol ends the run.
func TestViolations(t *testing.T) {
	tests := []struct {
		name, what string
		lie        func(d *driver)
	}{
		{"available index too far", "available index",
			func(d *driver) { le.PutUint16(d.at(availAt+2), 9) }},
		{"available index back", "available index",
			func(d *driver) { le.PutUint16(d.at(availAt+2), math.MaxUint16) }},
		{"head outside", "descriptor 8 in a table of 8",
			func(d *driver) { le.PutUint16(d.at(availAt+4), 8) }},
		{"head far outside", "descriptor 65535",
			func(d *driver) { le.PutUint16(d.at(availAt+4), math.MaxUint16) }},
		{"next outside", "descriptor 8", func(d *driver) { d.desc(0, headerAt, 16, more, 8) }},
		{"indirect", "flags 0x4", func(d *driver) { d.desc(0, headerAt, 16, 4, 1) }},
		{"unknown flag", "flags 0x8002", func(d *driver) { d.desc(2, statusAt, 1, 0x8002, 0) }},
		{"header without data", "request header",
			func(d *driver) { d.desc(0, headerAt, 16, readable, 1) }},
		{"writable header", "request header",
			func(d *driver) { d.desc(0, headerAt, 16, more|writable, 1) }},
		{"short header", "header of 15 bytes",
			func(d *driver) { d.desc(0, headerAt, 15, more, 1) }},
		{"long header", "header of 17 bytes", func(d *driver) { d.desc(0, headerAt, 17, more, 1) }},
		{"header before memory", "request header: range",
			func(d *driver) { d.desc(0, ramBase-8, 16, more, 1) }},
		{"header over the end", "request header: range",
			func(d *driver) { d.desc(0, ramBase+ramLen-8, 16, more, 1) }},
		{"header address wraps", "request header: range",
			func(d *driver) { d.desc(0, math.MaxUint64-7, 16, more, 1) }},
		{"data outside", "data buffer: range",
			func(d *driver) { d.desc(1, 0, 512, more|writable, 2) }},
		{"data too long", "data buffer: range",
			func(d *driver) { d.desc(1, dataAt, math.MaxUint32, more|writable, 2) }},
		{"data read-only", "cannot write", func(d *driver) { d.desc(1, dataAt, 512, more, 2) }},
		{"status read-only", "cannot write",
			func(d *driver) { d.desc(2, statusAt, 1, readable, 0) }},
		{"no status", "status of 512 bytes",
			func(d *driver) { d.desc(1, dataAt, 512, writable, 0) }},
		{"empty status", "status of 0 bytes",
			func(d *driver) { d.desc(2, statusAt, 0, writable, 0) }},
		{"status outside", "status: range",
			func(d *driver) { d.desc(2, ramBase+ramLen, 1, writable, 0) }},
		{"circle", "without an end", func(d *driver) { d.desc(1, dataAt, 512, more|writable, 1) }},
		{"circle of empty buffers", "without an end",
			func(d *driver) { d.desc(1, dataAt, 0, more|writable, 1) }},
		{"table outside", "descriptor table",
			func(d *driver) { d.Registers.desc = ramBase + ramLen - 127 }},
		{"table address wraps", "descriptor table",
			func(d *driver) { d.Registers.desc = math.MaxUint64 }},
		{"available ring outside", "available ring", func(d *driver) { d.Registers.avail = 0 }},
		{"used ring outside", "used ring", func(d *driver) { d.Registers.used = 1 << 63 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDriver(t, 8, counting(4096))
			d.request(0, abi.BlkTypeIn, 0, dataAt, 512)
			d.offer(0)
			test.lie(d)
			violates(t, d.notify(), test.what)
		})
	}
}

// TestRequestOverItsOwnQueue: the image's bytes may land in the queue that is being served. What
// comes of it is the guest's problem, in bounds.
func TestRequestOverItsOwnQueue(t *testing.T) {
	for _, at := range []uint64{descAt, availAt, usedAt, headerAt} {
		d := newDriver(t, 8, bytes.Repeat([]byte{0xff}, 4096))
		d.request(0, abi.BlkTypeIn, 0, at, 512)
		d.request(3, abi.BlkTypeIn, 0, at, 512)
		d.offer(0, 3)
		_ = d.notify()
		if got := d.Registers.availNext; got > 2 {
			t.Errorf("%#x: %d requests of 2 were served", at, got)
		}
	}
}

// TestFailedRequestsCostNothing: behind a failure a chain's buffers are not looked at, so that a
// notification cannot make the device touch a million of them.
func TestFailedRequestsCostNothing(t *testing.T) {
	const num = 1024
	m := newRAM()
	d := &driver{Block: NewBlock(m), t: t, mem: m, num: num}
	d.Attach(&disk{image: bytes.NewReader(nil), limit: 1 << 20})
	// The rings do not fit beside each other in this memory; they need not be apart.
	const table = ramBase
	d.Registers = Registers{status: abi.StatusDriverOK, queueReady: 1, queueNum: num, desc: table,
		avail: table + num*16, used: table + num*16 + 0x1000}
	for i := range num - 1 {
		d.desc(i, table, ramLen, more|writable, uint16(i+1))
	}
	d.desc(num-1, table+ramLen-1, 1, writable, 0)
	d.desc(0, table+ramLen-32, 16, more, 1)
	le.PutUint32(d.at(table+ramLen-32), 1)
	le.PutUint16(d.at(table+num*16+2), num) // num times the chain at 0
	if err := d.notify(); err != nil {
		t.Fatal(err)
	}
	if m.asked > 1<<20 {
		t.Errorf("%d bytes of memory were asked for", m.asked)
	}
}

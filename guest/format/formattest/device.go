// Package formattest is what the tests of all formats share: a device that watches its reader,
// a sink that checks its walker, properties that every walker must have, and mutations. What
// builds images of one format is in a package next to that format, such as qcow2/qcow2test;
// package qemutest makes images with qemu-img. Only tests, and the programs that make images,
// import it.
package formattest

import (
	"bytes"
	"fmt"
	"io"
	"sort"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// memoryBudget is how many bytes of memory a device gives its reader in all.
const memoryBudget = 4 << 20

// Device implements block.Device over an io.ReaderAt. It panics when its user breaks the rules of
// block.Device, and records what was read.
type Device struct {
	r    io.ReaderAt
	size uint64

	FailAt  uint64 // a read of this byte fails, unless it is 0
	Batches int    // calls of Read
	Reads   int    // requests
	Bytes   uint64 // bytes asked for

	given  [][]byte
	left   int
	ranges [][2]uint64
}

// NewDevice returns a device of size bytes.
func NewDevice(r io.ReaderAt, size uint64) *Device {
	return &Device{r: r, size: size, left: memoryBudget}
}

// Bytes returns a device that reads b.
func Bytes(b []byte) *Device { return NewDevice(bytes.NewReader(b), uint64(len(b))) }

// Size returns the size in bytes.
func (d *Device) Size() uint64 { return d.size }

// Buffer returns n bytes, or nil if the budget is used up.
func (d *Device) Buffer(n int) []byte {
	if n > d.left {
		return nil
	}
	d.left -= n
	b := make([]byte, n)
	d.given = append(d.given, b)
	return b
}

// Read fills the requests. Bytes past the end are zero.
func (d *Device) Read(reqs []block.Request) *fault.Fault {
	if len(reqs) == 0 {
		panic("Read without requests")
	}
	d.Batches++
	for _, r := range reqs {
		if len(r.Buf) == 0 || !d.own(r.Buf) {
			panic(fmt.Sprintf("%d bytes at %d are not read into memory from Buffer",
				len(r.Buf), r.Off))
		}
		d.Reads++
		d.Bytes += uint64(len(r.Buf))
		end := r.Off + uint64(len(r.Buf))
		if end < r.Off {
			panic(fmt.Sprintf("request at %d wraps around", r.Off))
		}
		d.ranges = append(d.ranges, [2]uint64{r.Off, end})
		if d.FailAt != 0 && r.Off <= d.FailAt && d.FailAt < end {
			return fault.New(fault.DeviceRead, d.FailAt)
		}
		clear(r.Buf)
		if r.Off < d.size {
			n := min(uint64(len(r.Buf)), d.size-r.Off)
			if _, err := d.r.ReadAt(r.Buf[:n], int64(r.Off)); err != nil && err != io.EOF {
				return fault.New(fault.DeviceRead, r.Off)
			}
		}
	}
	return nil
}

// own reports whether b is part of memory that Buffer returned. Slices of one array end in the
// same element.
func (d *Device) own(b []byte) bool {
	last := &b[:cap(b)][cap(b)-1]
	for _, g := range d.given {
		if last == &g[len(g)-1] {
			return true
		}
	}
	return false
}

// ReadTwice returns the first byte that was read more than once, if there is one. Bytes past
// the end do not count.
func (d *Device) ReadTwice() (uint64, bool) {
	s := append([][2]uint64(nil), d.ranges...)
	sort.Slice(s, func(i, j int) bool { return s[i][0] < s[j][0] })
	for i := 1; i < len(s); i++ {
		if s[i][0] < s[i-1][1] && s[i][0] < d.size {
			return s[i][0], true
		}
	}
	return 0, false
}

package virtio

import (
	"encoding/binary"

	"instarfs/guest/abi"
)

var le = binary.LittleEndian

// descriptor is one entry of the descriptor table.
type descriptor struct {
	addr  uint64
	len   uint32
	flags uint16
	next  uint16
}

// serve answers every request in the available ring. The guest does not run meanwhile, so what is
// read here stays as it is, and one pass with each index read once is enough.
func (d *Block) serve() error {
	if d.status&abi.StatusDriverOK == 0 || d.queueReady == 0 {
		return violation("notification before the device and its queue are ready")
	}
	num := uint64(d.queueNum)
	table, err := d.mem.Readable(d.desc, num*abi.DescLen)
	if err != nil {
		return violation("descriptor table: %v", err)
	}
	avail, err := d.mem.Readable(d.avail, abi.AvailHeaderLen+num*abi.AvailEntryLen)
	if err != nil {
		return violation("available ring: %v", err)
	}
	used, err := d.mem.Writable(d.used, abi.UsedHeaderLen+num*abi.UsedEntryLen)
	if err != nil {
		return violation("used ring: %v", err)
	}
	idx := le.Uint16(avail[2:])
	if n := idx - d.availNext; uint64(n) > num {
		return violation("available index went from %d to %d in a queue of %d", d.availNext, idx,
			num)
	}
	usedIdx := le.Uint16(used[2:])
	for ; d.availNext != idx; d.availNext++ {
		slot := uint64(d.availNext) % num
		head := le.Uint16(avail[abi.AvailHeaderLen+slot*abi.AvailEntryLen:])
		written, err := d.request(table, head)
		if err != nil {
			return err
		}
		e := used[abi.UsedHeaderLen+uint64(usedIdx)%num*abi.UsedEntryLen:]
		le.PutUint32(e, uint32(head))
		le.PutUint32(e[4:], written)
		usedIdx++
		le.PutUint16(used[2:], usedIdx)
	}
	return nil
}

// at reads descriptor i of a table of queueNum.
func (d *Block) at(table []byte, i uint16) (descriptor, error) {
	if uint32(i) >= d.queueNum {
		return descriptor{}, violation("descriptor %d in a table of %d", i, d.queueNum)
	}
	b := table[int(i)*abi.DescLen:]
	e := descriptor{addr: le.Uint64(b), len: le.Uint32(b[8:]), flags: le.Uint16(b[12:]),
		next: le.Uint16(b[14:])}
	if e.flags&^(abi.DescFlagNext|abi.DescFlagWrite) != 0 {
		return e, violation("descriptor %d has flags %#x", i, e.flags)
	}
	return e, nil
}

// request carries out the chain that starts at descriptor head, which must be a header to read,
// data buffers to write and one byte of status to write. It returns how many bytes the device
// wrote.
func (d *Block) request(table []byte, head uint16) (uint32, error) {
	e, err := d.at(table, head)
	if err != nil {
		return 0, err
	}
	if e.flags != abi.DescFlagNext || e.len != abi.BlkHeaderLen {
		return 0, violation("request header of %d bytes with flags %#x", e.len, e.flags)
	}
	header, err := d.mem.Readable(e.addr, abi.BlkHeaderLen)
	if err != nil {
		return 0, violation("request header: %v", err)
	}
	status := byte(abi.BlkStatusOK)
	if le.Uint32(header) != abi.BlkTypeIn {
		status = abi.BlkStatusUnsupp
	}
	sector, written := le.Uint64(header[8:]), uint32(0)
	for left := d.queueNum; ; left-- {
		if left == 0 {
			return 0, violation("chain of descriptors without an end")
		}
		if e, err = d.at(table, e.next); err != nil {
			return 0, err
		}
		if e.flags&abi.DescFlagWrite == 0 {
			return 0, violation("buffer that a read cannot write")
		}
		if e.flags&abi.DescFlagNext == 0 {
			break
		}
		// Behind a failure buffers are not even looked at: only bytes that count against the read
		// limit are worth work, or one notification could ask for a million buffers of many
		// megabytes each.
		if status == abi.BlkStatusOK {
			buf, err := d.mem.Writable(e.addr, uint64(e.len))
			if err != nil {
				return 0, violation("data buffer: %v", err)
			}
			ok, err := d.backend.ReadSectors(buf, sector)
			switch {
			case err != nil:
				return 0, err
			case !ok:
				status = abi.BlkStatusIOErr
			}
			written += e.len
		}
		sector += uint64(e.len) / abi.SectorLen
	}
	if e.len != 1 {
		return 0, violation("status of %d bytes", e.len)
	}
	b, err := d.mem.Writable(e.addr, 1)
	if err != nil {
		return 0, violation("status: %v", err)
	}
	b[0] = status
	return written + 1, nil
}

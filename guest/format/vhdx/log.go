package vhdx

import (
	"encoding/binary"
	"hash/crc32"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// The log is a ring of sectors that holds changes to the metadata. An entry is a header,
// descriptors, and the data that they need. [MS-VHDX] 2.3.

const (
	logSector    = 4 * kib
	logAlign     = mib // of the log's offset and length
	logHeader    = 64
	descriptor   = 32
	logSignature = "loge"
	zeroDesc     = "zero"
	dataDesc     = "desc"
	dataSector   = "data"
	// A data sector has data from dataFrom to dataTo. The other bytes are in the descriptor.
	dataFrom = 8
	dataTo   = logSector - 4
)

// logBuf is how much of the log is in memory, bytes. Most logs have 1 MiB.
const logBuf = mib

// log reads the log.
type log struct {
	dev         block.Device
	buf         []byte
	off, length uint64 // in the file
	guid        guid
	first, have uint64 // the part of the log that is in buf, bytes
	zeroes      []byte // a sector past the end of the file
	work        uint64 // sectors that may still be read
}

// logEntry is the header of an entry.
type logEntry struct {
	at          uint64 // in the log
	sectors     uint64 // of the whole entry
	headSectors uint64 // of header and descriptors
	descriptors uint64
	sum         uint32
	tail        uint32
	sequence    uint64
	flushed     uint64 // FlushedFileOffset
	last        uint64 // LastFileOffset
}

// size returns the length of the entry in bytes.
func (e *logEntry) size() uint64 { return max(e.sectors, e.headSectors) * logSector }

// readLog looks for entries in the log, if there is one. A profile of qemu refuses an image
// with entries; our own replays them.
func (m *image) readLog() *fault.Fault {
	h := &m.h
	off, length := h.logOffset(), uint64(h.logLength())
	switch {
	case off < logAlign || off%logAlign != 0:
		return fault.New(fault.VhdxLogOffset, offHeader1+offLogOffset, off)
	case h.logVersion() != 0:
		return fault.New(fault.VhdxLogVersion, offHeader1+offLogVersion, uint64(h.logVersion()))
	case h.logGUID() == guid{} || length == 0:
		return nil
	case length%logAlign != 0:
		return fault.New(fault.VhdxLogLength, offHeader1+offLogLength, length)
	case off > block.MaxOffset-length:
		return fault.New(fault.VhdxLogRead, offHeader1+offLogOffset, off)
	case off >= m.dev.Size():
		return nil // zeroes, which are not an entry
	case !m.release.IsQemu() && length > maxLog:
		return fault.New(fault.VhdxLogTooLong, offHeader1+offLogLength, length, maxLog)
	}
	buf, f := block.Take(m.dev, logBuf)
	if f != nil {
		return f
	}
	l := &log{dev: m.dev, buf: buf, off: off, length: length, guid: h.logGUID()}
	// Each sector is read three times, unless entries are damaged: then the sectors after their
	// header are read again.
	l.work = 16*length/logSector + 1024
	if !m.release.IsQemu() {
		return m.replay(l)
	}
	switch dirty, f := l.anyEntry(); {
	case f != nil:
		return f
	case dirty:
		return fault.New(fault.VhdxLogDirty, off)
	}
	return nil
}

// sector returns the sector at a byte of the log, which is valid until the next call. It does
// not read sectors past the end of the file, which are zeroes.
func (l *log) sector(at uint64) ([]byte, *fault.Fault) {
	if l.work == 0 {
		return nil, fault.New(fault.VhdxLogWork, l.off)
	}
	l.work--
	if at >= l.first && at < l.first+l.have {
		return l.buf[at-l.first:][:logSector], nil
	}
	if l.off+at >= l.dev.Size() {
		if l.zeroes == nil {
			l.zeroes = make([]byte, logSector)
		}
		return l.zeroes, nil
	}
	n := l.length
	if l.length > uint64(len(l.buf)) {
		n = min(l.length-at, 64*kib)
		l.first = at
	}
	if f := block.ReadOne(l.dev, l.buf[:n], l.off+l.first); f != nil {
		return nil, f
	}
	l.have = n
	return l.buf[at-l.first:][:logSector], nil
}

// next returns the byte of the log n bytes after at.
func (l *log) next(at, n uint64) uint64 { return (at + n) % l.length }

// entry reads the header of an entry, and reports whether it is one.
func (l *log) entry(at uint64) (e logEntry, ok bool, f *fault.Fault) {
	b, f := l.sector(at)
	if f != nil {
		return e, false, f
	}
	le := binary.LittleEndian
	length := uint64(le.Uint32(b[8:]))
	e = logEntry{
		at: at, sectors: length / logSector, descriptors: uint64(le.Uint32(b[24:])),
		sum: le.Uint32(b[offChecksum:]), tail: le.Uint32(b[12:]), sequence: le.Uint64(b[16:]),
		flushed: le.Uint64(b[48:]), last: le.Uint64(b[56:]),
	}
	e.headSectors = (logHeader + e.descriptors*descriptor + logSector - 1) / logSector
	ok = string(b[:len(logSignature)]) == logSignature && length <= l.length &&
		length%logSector == 0 && e.sequence != 0 &&
		guid(b[32:48]) == l.guid && e.descriptors*descriptor <= length
	return e, ok, nil
}

// eachDescriptor calls do with the descriptors of an entry and their indices until do returns
// false. It reports whether do never did.
func (l *log) eachDescriptor(e *logEntry, do func(i uint64, d []byte) bool) (
	all bool, f *fault.Fault) {
	b, f := l.sector(e.at)
	if f != nil {
		return false, f
	}
	at, from := e.at, uint64(logHeader)
	for i := range e.descriptors {
		if from == logSector {
			at, from = l.next(at, logSector), 0
			if b, f = l.sector(at); f != nil {
				return false, f
			}
		}
		if !do(i, b[from:from+descriptor]) {
			return false, nil
		}
		from += descriptor
	}
	return true, nil
}

// validDescriptor reports whether d may be a descriptor of e.
func validDescriptor(e *logEntry, d []byte) bool {
	le := binary.LittleEndian
	if le.Uint64(d[24:]) != e.sequence || le.Uint64(d[16:])%logSector != 0 {
		return false
	}
	switch string(d[:4]) {
	case zeroDesc:
		return le.Uint64(d[8:])%logSector == 0
	case dataDesc:
		return true
	}
	return false
}

// sound reports whether the checksum of an entry is correct.
func (l *log) sound(e *logEntry) (bool, *fault.Fault) {
	sum := uint32(0)
	for i := uint64(0); i < e.size(); i += logSector {
		b, f := l.sector(l.next(e.at, i))
		if f != nil {
			return false, f
		}
		if i == 0 {
			sum = crc32.Update(sum, castagnoli(), b[:offChecksum])
			sum = crc32.Update(sum, castagnoli(), fourZeroes[:])
			b = b[offChecksum+4:]
		}
		sum = crc32.Update(sum, castagnoli(), b)
	}
	return sum == e.sum, nil
}

// anyEntry reports whether qemu finds an entry that it would replay. It follows the search of
// qemu step by step, because a damaged descriptor that qemu reads ends the search, and others
// do not matter.
func (l *log) anyEntry() (found bool, f *fault.Fault) {
	for at := uint64(0); ; {
		tail := at
		_, ok, f := l.look(&at, 0)
		// The second entry of a sequence may have any number, each later one has the next
		// number.
		for after := uint64(0); ok && f == nil; {
			found = true
			var e logEntry
			e, ok, f = l.look(&at, after)
			after = e.sequence
		}
		if f != nil || at < tail {
			return found, f
		}
	}
}

// look reads an entry and checks what qemu checks of it. The number of the entry must be one
// more than after, unless that is 0. look moves past an entry that it has read, and otherwise
// to the next sector.
func (l *log) look(at *uint64, after uint64) (e logEntry, ok bool, f *fault.Fault) {
	e, ok, f = l.entry(*at)
	if f != nil {
		return e, false, f
	}
	if !ok || after != 0 && e.sequence != after+1 {
		*at = l.next(*at, logSector)
		return e, false, nil
	}
	damaged := uint64(0)
	all, f := l.eachDescriptor(&e, func(i uint64, d []byte) bool {
		damaged = i
		// qemu reads all sectors of descriptors to the same place, so it understands none if
		// there is more than one.
		return e.headSectors == 1 && validDescriptor(&e, d)
	})
	if f == nil && !all {
		f = fault.New(fault.VhdxLogDescriptor, l.off+*at, damaged)
	}
	if f != nil {
		return e, false, f
	}
	ok, f = l.sound(&e)
	*at = l.next(*at, e.size())
	return e, ok, f
}

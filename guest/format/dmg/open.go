// Package dmg maps Apple disk images (UDIF).
//
// docs: block/dmg.c of qemu; Apple publishes no specification.
package dmg

import (
	"bytes"

	"instarfs/guest/block"
	"instarfs/guest/fault"
	"instarfs/guest/format"
	"instarfs/guest/img"
)

// Driver is the dmg format.
var Driver = format.Driver{Format: img.Dmg, Probe: probe, Open: open}

// probe checks only the name: the signature is at the end of the file, which no probe sees.
func probe(_ *[format.HeadLen]byte, _ uint64, dmg bool) int {
	return format.Score(dmg, format.Weak)
}

// open makes the checks of qemu's dmg_open, in its order.
func open(p *format.Params) (format.Image, *fault.Fault) {
	buf, f := block.Take(p.Dev, bufferLen)
	if f != nil {
		return nil, f
	}
	at, f := findTrailer(p, buf)
	if f != nil {
		return nil, f
	}
	if f := block.ReadOne(p.Dev, buf[:trailerLen], at); f != nil {
		return nil, f
	}
	t := trailer(buf)
	switch {
	case t.dataForkOffset() > at:
		return nil, fault.New(fault.DmgDataFork, at+offDataForkOffset)
	case t.rsrcForkOffset() >= at || t.rsrcForkLength() > at-t.rsrcForkOffset():
		return nil, fault.New(fault.DmgResourceFork, at+offRsrcForkOffset)
	case t.xmlOffset() >= at || t.xmlLength() > at-t.xmlOffset():
		return nil, fault.New(fault.DmgXML, at+offXMLOffset)
	case t.sectorCount() >= 1<<63:
		return nil, fault.New(fault.DmgSectors, at+offSectorCount)
	case !p.Release.IsQemu() && t.segmentCount() > 1:
		return nil, fault.New(fault.DmgSegments, at+offSegmentCount, uint64(t.segmentCount()))
	}
	c := &chunks{
		p: p, strict: p.Release.Since(10, 0), dataFork: t.dataForkOffset(),
		sectors: t.sectorCount(),
	}
	if !p.Release.IsQemu() && c.sectors == 0 {
		c.sectors = block.MaxOffset / sectorSize // the last chunk gives the size
	}
	s := &stream{dev: p.Dev, buf: buf}
	switch {
	case t.rsrcForkLength() != 0:
		f = readFork(s, c, t.rsrcForkOffset(), t.rsrcForkLength())
	case t.xmlLength() != 0:
		f = readPlist(s, c, t.xmlOffset(), t.xmlLength())
	default:
		f = fault.New(fault.DmgNoTables, at+offXMLLength)
	}
	switch {
	case f != nil:
		return nil, f
	case c.strict && c.known == 0:
		return nil, fault.New(fault.DmgNoChunks, at)
	}
	sizeless, f := format.CheckSectors(p, t.sectorCount(), at+offSectorCount, fault.DmgVirtualSize)
	switch {
	case f != nil:
		return nil, f
	case sizeless != nil:
		return sizeless, nil
	case p.Release.IsQemu():
		return format.Unmapped(t.sectorCount() * sectorSize), nil
	}
	if f := c.arrange(); f != nil {
		return nil, f
	}
	return &image{c.size(t.sectorCount()), c.runs}, nil
}

// findTrailer returns the device offset of the trailer.
func findTrailer(p *format.Params, buf []byte) (uint64, *fault.Fault) {
	if p.Dev.Size() > block.MaxOffset {
		return 0, fault.New(fault.DeviceTooLarge, 0, p.Dev.Size())
	}
	size, from := block.Length(p.Dev), uint64(0)
	if size < sectorSize {
		return 0, fault.New(fault.DmgSmall, 0)
	}
	if size > searchFrom {
		from = size - searchFrom
	}
	end := buf[:min(size, searchLen)]
	if f := block.ReadOne(p.Dev, end, from); f != nil {
		return 0, f
	}
	if i := bytes.Index(end, []byte(magic)); i >= 0 {
		return from + uint64(i), nil
	}
	if !p.Release.IsQemu() {
		if f := block.ReadOne(p.Dev, buf[:len(encrypted)], 0); f != nil {
			return 0, f
		}
		if string(buf[:len(encrypted)]) == encrypted {
			return 0, fault.New(fault.DmgEncrypted, 0)
		}
	}
	return 0, fault.New(fault.DmgTrailer, from)
}

package parallels

import (
	"encoding/binary"

	"instarfs/guest/block"
	"instarfs/guest/fault"
)

// The extension holds dirty bitmaps, which do not appear in a map. But qemu does not open an
// image if it cannot read them.

// checkExtension checks the cluster at a sector as qemu's parallels_parse_format_extension
// does. It reads the cluster twice: for its checksum, and then for its features.
func (m *image) checkExtension(sector uint64) *fault.Fault {
	at := sector * sectorSize // wraps around as in qemu
	if m.release.IsQemu() && int64(at) <= 0 {
		return fault.New(fault.ParallelsExtensionSign, offExtension)
	}
	if at > block.MaxOffset-m.cluster {
		return fault.New(fault.ParallelsExtensionRead, offExtension)
	}
	head := m.buf[:extensionHeader]
	if f := block.ReadOne(m.dev, head, at); f != nil {
		return f
	}
	if got := binary.LittleEndian.Uint64(head); got != extensionMagic {
		return fault.New(fault.ParallelsExtensionMagic, at, got)
	}
	if m.cluster > maxExtension {
		return fault.New(fault.ParallelsExtensionSize, offTracks, m.cluster)
	}
	want := [md5Size]byte(head[8:])
	sum := newMD5()
	for done := uint64(extensionHeader); done < m.cluster; {
		b := m.buf[:min(m.cluster-done, bufferLen)]
		if f := block.ReadOne(m.dev, b, at+done); f != nil {
			return f
		}
		done += uint64(len(b))
		sum.write(b)
	}
	if sum.sum() != want {
		return fault.New(fault.ParallelsExtensionChecksum, at)
	}
	return m.checkFeatures(at)
}

// checkFeatures checks the features of the extension in the cluster at device offset at.
func (m *image) checkFeatures(at uint64) *fault.Fault {
	seen := map[[16]byte]bool{}
	for pos := uint64(extensionHeader); ; {
		if m.cluster-pos < featureHeader {
			return fault.New(fault.ParallelsFeatureHeader, at+pos, m.cluster-pos, featureHeader)
		}
		head := m.buf[:featureHeader+bitmapHeader]
		if f := block.ReadOne(m.dev, head, at+pos); f != nil {
			return f
		}
		kind, size := binary.LittleEndian.Uint64(head),
			uint64(binary.LittleEndian.Uint32(head[16:]))
		if binary.LittleEndian.Uint64(head[8:]) != 0 {
			return fault.New(fault.ParallelsFeatureFlags, at+pos+8)
		}
		pos += featureHeader
		if size > m.cluster-pos {
			return fault.New(fault.ParallelsFeatureSize, at+pos-8)
		}
		switch kind {
		case featureEnd:
			return nil
		case featureBitmap:
			b := bitmap{at: at + pos, size: size, bitmapFields: bitmapFields(head[featureHeader:])}
			if f := m.checkBitmap(&b, seen); f != nil {
				return f
			}
		default:
			return fault.New(fault.ParallelsFeature, at+pos-featureHeader, kind)
		}
		pos += (size + 7) &^ 7
	}
}

// bitmap is the feature of a dirty bitmap.
type bitmap struct {
	bitmapFields
	at, size uint64 // device offset, bytes
}

// checkBitmap checks a dirty bitmap, whose id must not be among those seen.
func (m *image) checkBitmap(b *bitmap, seen map[[16]byte]bool) *fault.Fault {
	if b.size < bitmapHeader {
		return fault.New(fault.ParallelsBitmapSmall, b.at, b.size, bitmapHeader)
	}
	granularity, field := uint64(b.granularity()), b.at+offBitmapGranularity
	switch {
	case b.sectors() != m.sectors:
		return fault.New(fault.ParallelsBitmapSize, b.at, b.sectors(), m.sectors)
	case b.l1Size()*8 > b.size-bitmapHeader:
		return fault.New(fault.ParallelsBitmapL1, b.at+offBitmapL1Size)
	case granularity != 0 && granularity&(granularity-1) == 0:
	case m.release.IsQemu():
		return fault.BadGranularity(fault.ParallelsBitmapAbort, m.release, field)
	default:
		return fault.New(fault.ParallelsBitmapGranularity, field, granularity, sectorSize)
	}
	if seen[b.id()] {
		return fault.Quoting(fault.ParallelsBitmapExists, b.at+offBitmapID, uuid(b.id()))
	}
	if len(seen) == maxBitmaps {
		return fault.New(fault.ParallelsBitmaps, b.at, maxBitmaps)
	}
	seen[b.id()] = true
	// A bit a granule, in 64-bit words.
	words := (m.sectors*sectorSize + granularity - 1) / granularity
	words = (words + 63) / 64
	if want := (words*8 + m.cluster - 1) / m.cluster; want != b.l1Size() {
		return fault.New(fault.ParallelsBitmapL1Size, b.at+offBitmapL1Size, b.l1Size(), want)
	}
	return m.checkBitmapData(b)
}

// checkBitmapData checks the offsets of clusters in the L1 table of a bitmap. It does not read
// the clusters, which may be past the end of the file: any bytes are a valid bitmap.
func (m *image) checkBitmapData(b *bitmap) *fault.Fault {
	for done := uint64(0); done < b.l1Size()*8; {
		at := b.at + bitmapHeader + done
		piece := m.buf[:min(b.l1Size()*8-done, bufferLen)]
		if f := block.ReadOne(m.dev, piece, at); f != nil {
			return f
		}
		for i := 0; i < len(piece); i += 8 {
			const ones = 1 // the largest entry that is not a sector
			entry := binary.LittleEndian.Uint64(piece[i:])
			if entry > ones && entry*sectorSize > block.MaxOffset-m.cluster {
				return fault.New(fault.ParallelsBitmapData, at+uint64(i))
			}
		}
		done += uint64(len(piece))
	}
	return nil
}

// uuid returns the usual spelling of an id.
func uuid(id [16]byte) string {
	const hex = "0123456789abcdef"
	var s []byte
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			s = append(s, '-')
		}
		s = append(s, hex[b>>4], hex[b&15])
	}
	return string(s)
}

package session

import (
	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/img"
)

// Layer is what one run found in one file.
type Layer struct {
	// Map covers the window; see package extent for what a layer map may hold. An extent with
	// extent.Bad has the index of its fault in Faults as its offset.
	Map         *extent.Map
	Format      img.Format
	VirtualSize uint64 // bytes
	Overhang    uint64 // bytes, see abi.Result
	Faults      []abi.RoleFault
	References  []img.Reference
}

// LayerCost is what a layer has in addition to its extents, bytes: headers, and where it is kept.
const LayerCost = 4 << 10

// texts is the memory of a layer that is not its map's, bytes.
func (l *Layer) texts() int {
	const fault, reference = 256, 128
	n := fault*len(l.Faults) + reference*len(l.References)
	for i := range l.References {
		n += len(l.References[i].Name) + len(l.References[i].Format)
	}
	for _, f := range l.Faults {
		n += len(f.Text)
	}
	return n
}

// Bytes is the memory that l holds, bytes.
func (l *Layer) Bytes() int { return LayerCost + l.Map.Bytes() + l.texts() }

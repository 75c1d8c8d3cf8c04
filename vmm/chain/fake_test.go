package chain

import (
	"instarfs/guest/extent"
	"instarfs/guest/img"
	"instarfs/vmm/chaintest"
)

// Short names for what the tests of this package use most.
const (
	present, zero, data, offset = chaintest.Present, chaintest.Zero,
		chaintest.Data, chaintest.Offset

	stored = chaintest.Stored
	bare   = stored | extent.Holes | extent.Bare
)

var (
	ext       = chaintest.Ext
	extents   = chaintest.Extents
	layerOf   = chaintest.NewLayer
	badLayer  = chaintest.BadLayer
	write     = chaintest.Write
	qcow2     = chaintest.Qcow2
	openFiles = chaintest.OpenFiles
	oneLine   = chaintest.OneLine
)

// fakeRunner is a Runner that does what a test wants.
type fakeRunner = chaintest.Runner

// whole maps whole disks.
var whole = Options{Window: img.Whole}

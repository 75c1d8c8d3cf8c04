package source

import (
	"instarfs/vmm/chain"
	"instarfs/vmm/chaintest"
)

// Short names for what the tests of this package use most.
const present, zero = chaintest.Present, chaintest.Zero

var (
	ext       = chaintest.Ext
	layerOf   = chaintest.NewLayer
	badLayer  = chaintest.BadLayer
	write     = chaintest.Write
	qcow2     = chaintest.Qcow2
	openFiles = chaintest.OpenFiles
	oneLine   = chaintest.OneLine
)

// fakeRunner is a Runner that does what a test wants.
type fakeRunner = chaintest.Runner

// options map whole disks.
var options = Options{Options: chain.Options{Window: chaintest.Whole}}

// Package chain turns files into maps: it opens an image, runs a guest to map it, opens the files
// that the image names, as far as they may be opened, and keeps what it found by the identity of
// each file. It is the only package where the text of an image may become a path. It interprets no
// byte of an image: it sees extents, which package vmm has checked, and descriptors.
//
// Its files, from the bottom up. No file uses what a later one declares (order_test.go):
//
//	limits.go   how long a map may take, and how much memory
//	options.go  what to map, and the generation of a map
//	access.go   what may be opened
//	failed.go   failures that are kept
//	member.go   a file that a map shows
//	engine.go   runs, the files of the computer, and what is kept
//	rights.go   who may read the files of a map
//	run.go      the layer of one file
//	chain.go    the files under an image, and their composition
//	open.go     opens them
//	map.go      maps an image
//	known.go    what is known without a run
package chain

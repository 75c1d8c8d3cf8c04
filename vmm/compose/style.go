package compose

import (
	"instarfs/guest/extent"
	"instarfs/guest/img"
)

// style says how a release of qemu-img shows the states of a map.
type style struct {
	qemu         bool // a failed walk leaves what qemu-img has printed by then
	noCompressed bool // compressed extents are not told apart
	noPresent    bool // nor extents that no layer decides
}

func styleOf(r img.Release) style {
	return style{qemu: r.IsQemu(), noCompressed: !r.HasCompressed(), noPresent: !r.HasPresent()}
}

// marks are the flags that say how the holes of a file show.
const marks = extent.Holes | extent.Bare

// final returns what the state of a layer becomes where that layer decides: what is unallocated
// reads as zeroes (qemu: bdrv_co_do_block_status of a node that supports backing files and has none
// there).
func (s style) final(l extent.State) extent.State {
	f := l.Flags &^ (marks | extent.BadAhead)
	if f&extent.Present == 0 {
		f |= extent.Zero
	}
	if s.noCompressed {
		f &^= extent.Compressed
	}
	if s.noPresent && f&(extent.Data|extent.Zero) == extent.Zero {
		f &^= extent.Present
	}
	l.Flags = f
	return l
}

// beforeHoles is final, but keeps the marks: the holes of the file are still to be looked for.
func (s style) beforeHoles(l extent.State) extent.State {
	kept := l.Flags & marks
	l = s.final(l)
	l.Flags |= kept
	return l
}

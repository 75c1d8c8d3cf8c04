package render

import (
	"encoding/binary"
	"io"
	"testing"

	"instarfs/guest/extent"
)

// FuzzRender makes a map out of the input, seven bytes an extent, and compares each rendering with
// the model, whole and at one place that the input chooses.
func FuzzRender(f *testing.F) {
	f.Add(uint64(0), uint32(0), uint16(10), []byte{})
	f.Add(uint64(65537), uint32(100), uint16(1000),
		[]byte("\x02\x10\x00\x50\x00\x00\x00\x00\x20\x00\x00\x00\x00\x00"))
	f.Add(uint64(1)<<62, uint32(3), uint16(300),
		[]byte("\x05\x3d\x00\x50\x3c\x01\x01\x04\x01\x00\x00\x00\x02\x00"))
	kinds := []extent.Flags{hole, zero, data, prez, comp, crypt, rawz, extent.Present | extent.Data}
	files := []string{"a.qcow2", "", longName}
	f.Fuzz(func(t *testing.T, start uint64, off uint32, length uint16, in []byte) {
		b := extent.NewBuilder(start>>1, 1<<63, 0)
		for ; len(in) >= 7; in = in[7:] {
			e := extent.Extent{Start: b.Next(), Length: uint64(in[1]) + 1<<(in[2]&63),
				State: extent.State{Flags: kinds[in[0]%8], Depth: uint16(in[5] % 3)}}
			if e.Flags.Has(extent.Offset) {
				e.Offset = uint64(binary.LittleEndian.Uint16(in[3:])) << (in[6] & 63) >> 1
				e.File = uint16(in[6] % 3)
			}
			_ = b.Add(e) // what the builder refuses is left out
		}
		m := b.Cut(files)
		checkMap(t, m, func(t *testing.T, r *Rendering, want string) {
			p := make([]byte, length)
			at := int(off) % (len(want) + 1)
			n, err := r.ReadAt(p, int64(at))
			if string(p[:n]) != want[at:min(len(want), at+len(p))] || err != nil && err != io.EOF {
				t.Fatalf("ReadAt(%d bytes, %d) = %q, %v", length, at, p[:n], err)
			}
			whole(t, r, want)
		})
	})
}

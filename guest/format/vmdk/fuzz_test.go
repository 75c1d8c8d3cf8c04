package vmdk_test

import (
	"bytes"
	"math/rand"
	"testing"

	"instarfs/guest/format"
	"instarfs/guest/format/vmdk"
	"instarfs/guest/format/vmdk/vmdktest"
	"instarfs/guest/img"
)

// fuzzWindow is the most bytes of a disk that a fuzz input walks.
const fuzzWindow = 1 << 24

// FuzzVmdk opens arbitrary bytes with each driver, in both profiles: it does not panic, extents
// tile the window or there is a fault, the cost is bounded, and a window has the same extents
// as the whole disk.
func FuzzVmdk(f *testing.F) {
	for seed := range int64(30) {
		kind := []string{"KDMV", "COWD", "SESPARSE"}[seed%3]
		f.Add(vmdktest.RandomSparse(rand.New(rand.NewSource(seed)), kind).Bytes(), uint64(seed)<<9,
			uint64(1000))
	}
	for _, v := range headers {
		s := vmdktest.NewSparse(v.kind, 1000, 128)
		v.spoil(s)
		f.Add(bytes.TrimRight(s.Bytes(), "\x00"), uint64(1), uint64(1<<12))
	}
	for _, v := range texts {
		f.Add([]byte(intro+v.text), uint64(700), uint64(1000))
	}
	f.Fuzz(func(t *testing.T, b []byte, start, length uint64) {
		for _, d := range []*format.Driver{&vmdk.Driver, &vmdk.SparseDriver, &vmdk.SESparseDriver} {
			for _, release := range []img.Release{0, qemu} {
				whole, ft := walk(t, d, b, release, img.Window{End: fuzzWindow})
				if ft != nil || whole.Map.End() == 0 {
					continue
				}
				end := whole.Map.End()
				from := start % end
				part, ft := walk(t, d, b, release, window(from, min(end, from+length%end+1)))
				if ft != nil {
					t.Fatalf("window: %v", ft)
				}
				within(t, whole, part)
			}
		}
	})
}

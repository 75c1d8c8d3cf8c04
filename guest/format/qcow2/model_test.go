package qcow2_test

import (
	"fmt"
	"math/rand"
	"testing"

	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/img"
)

// TestAgainstModel compares maps and windows of random images, half of them corrupt, with the
// model. How much of the image the host allocated decides whether clusters may be holes.
func TestAgainstModel(t *testing.T) {
	refused := 0
	for seed := range int64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewSource(seed))
			f, n := inMemory(t, qcow2test.RandomEntries(rng, "data"))
			if seed%2 == 0 {
				if err := qcow2test.Corrupt(rng, f); err != nil {
					t.Fatal(err)
				}
			}
			allocated := []uint64{0, n / 2, n, 1 << 40}[rng.Intn(4)]
			res, fault := walk(t, f, n, allocated, window(0, 0))
			if fault != nil {
				refused++
				return
			}
			const most = 64 << 20 // the model takes time for each subcluster
			if res.Size <= most {
				agree(t, f, n, allocated, img.Whole)
			}
			for range 2 {
				start, length := formattest.RandomWindow(rng, res.Size)
				agree(t, f, n, allocated, window(start, start+min(length, most)))
			}
		})
	}
	if refused > 50 {
		t.Errorf("%d images were refused", refused)
	}
}

package main

import (
	"fmt"
	"math/rand"
	"os"
	"strings"
	"testing"

	"instarfs/guest/format/bochs/bochstest"
	"instarfs/guest/format/cloop/clooptest"
	"instarfs/guest/format/dmg/dmgtest"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/luks/lukstest"
	"instarfs/guest/format/qemutest"
)

// TestDifferentialArchives is TestDifferential for formats that qemu-img does not map. It
// compares the size, and the messages for invalid images.
func TestDifferentialArchives(t *testing.T) {
	makers := map[string]func(*rand.Rand) []byte{
		"bochs": func(rng *rand.Rand) []byte { return bochstest.Random(rng) },
		"cloop": func(rng *rand.Rand) []byte { return clooptest.Random(rng) },
		"dmg":   randomDmg,
		"luks":  func(rng *rand.Rand) []byte { return lukstest.Random(rng) },
	}
	for format, random := range makers {
		t.Run(format, func(t *testing.T) {
			n := differences(t) / 10
			compareRandom(t, n,
				func(t *testing.T, o *oracle, rng *rand.Rand, _ int) func(*testing.T) {
					name := []string{"image", "image.dmg", ".dmg"}[rng.Intn(3)]
					if err := os.WriteFile(name, random(rng), 0o666); err != nil {
						t.Fatal(err)
					}
					start := int64(160)
					if format == "dmg" {
						start = 1024 // randomDmg garbles the tables
					}
					if rng.Intn(3) == 0 {
						qemutest.Garble(t, rng, name, start)
					}
					settle(t, name)
					args := []string{name}
					if rng.Intn(4) > 0 {
						args = []string{"-f" + format, name}
					}
					return func(t *testing.T) {
						from, length := formattest.RandomWindow(rng, 1<<(9+rng.Intn(24)))
						window := []string{"--output=json", "-s", fmt.Sprint(from), "-l",
							fmt.Sprint(length)}
						o.compareWith(t, walkedTool(),
							strings.Join(append([]string{"--output=human"}, args...), "\x00"))
						o.compareWith(t, walkedTool(),
							strings.Join(append(window, args...), "\x00"))
					}
				})
		})
	}
}

// randomDmg returns an image that is sound, or has garbled tables or a garbled trailer.
func randomDmg(rng *rand.Rand) []byte {
	d := dmgtest.Random(rng)
	for _, tab := range d.Tables {
		if i := rng.Intn(len(tab.Chunks)); rng.Intn(20) == 0 {
			tab.Chunks[i][1+rng.Intn(4)] = rng.Uint64() >> rng.Intn(64)
		}
	}
	b := d.Bytes()
	switch rng.Intn(5) {
	case 0:
		return append(b, make([]byte, rng.Intn(600))...)
	case 1:
		return b[:len(b)-rng.Intn(600)]
	case 2:
		fields := []int{0x18, 0x28, 0x30, 0xd8, 0xe0, 0x1ec}
		off := len(b) - 512 + fields[rng.Intn(len(fields))] + rng.Intn(8)
		b[off] = byte(rng.Intn(256))
	case 3:
		for range 1 + rng.Intn(3) {
			b[d.Body+rng.Intn(min(600, len(b)-512-d.Body))] ^= byte(1 << rng.Intn(8))
		}
	}
	return b
}

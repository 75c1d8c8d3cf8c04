package main

import (
	"fmt"
	"math/rand"
	"os"
	"testing"

	"instarfs/cmd/instarfs/guests"
	"instarfs/guest/format/bochs/bochstest"
	"instarfs/guest/format/cloop/clooptest"
	"instarfs/guest/format/luks/lukstest"
	"instarfs/guest/format/qemutest"
)

// TestEveryFormatInGuests maps random images of every format by guests, and by the same code in
// this process, which others compare with qemu-img: both must say the same.
func TestEveryFormatInGuests(t *testing.T) { eachCarrier(t, testEveryFormat) }

func testEveryFormat(t *testing.T, how guests.Isolation) {
	tables := func(format string) func(*testing.T, *rand.Rand, string) string {
		return func(t *testing.T, rng *rand.Rand, dir string) string {
			qemutest.RandomTables(t, rng, dir, "image", format)
			return "image"
		}
	}
	bytes := func(name string, random func(*rand.Rand) []byte) func(*testing.T, *rand.Rand,
		string) string {
		return func(t *testing.T, rng *rand.Rand, dir string) string {
			if err := os.WriteFile(name, random(rng), 0o666); err != nil {
				t.Fatal(err)
			}
			return name
		}
	}
	real, walked := toolOn(realGuests(t, how)), walkedTool()
	// Each makes an image, and returns its name.
	makers := map[string]func(t *testing.T, rng *rand.Rand, dir string) string{
		"raw": func(t *testing.T, rng *rand.Rand, dir string) string {
			qemutest.RandomRaw(t, rng, dir, "image")
			return "image"
		},
		"qcow2": func(t *testing.T, rng *rand.Rand,
			dir string) string {
			return qemutest.RandomChain(t, rng, dir)
		},
		"qcow":      tables("qcow"),
		"qed":       tables("qed"),
		"parallels": tables("parallels"),
		"vdi": func(t *testing.T, rng *rand.Rand, dir string) string {
			qemutest.RandomVdi(t, rng, dir, "image")
			return "image"
		},
		"vpc": func(t *testing.T, rng *rand.Rand, dir string) string {
			qemutest.RandomVpc(t, rng, dir, "image")
			return "image"
		},
		"vhdx": func(t *testing.T, rng *rand.Rand, dir string) string {
			qemutest.RandomVhdx(t, rng, dir, "image")
			return "image"
		},
		"vmdk": func(t *testing.T, rng *rand.Rand, dir string) string {
			qemutest.RandomVmdk(t, rng, dir, "image.vmdk")
			return "image.vmdk"
		},
		"luks":  bytes("image", lukstest.Random),
		"dmg":   bytes("image.dmg", randomDmg),
		"cloop": bytes("image", clooptest.Random),
		"bochs": bytes("image", bochstest.Random),
	}
	for _, format := range formats() {
		makeImage := makers[format]
		if makeImage == nil {
			t.Errorf("there is no maker of images in format %s", format)
			continue
		}
		for seed := range int64(4) {
			t.Run(fmt.Sprint(format, seed), func(t *testing.T) {
				dir := t.TempDir()
				t.Chdir(dir)
				name := makeImage(t, rand.New(rand.NewSource(seed)), dir)
				settleAll(t, dir)
				for _, args := range [][]string{
					{"map", "--output=json", name},
					{"map", "--output=human", "-f", format, "-s", "70001", "-l", "1000000", name},
					{"map", "--qemu-version", "10.0", "--output=json", name},
					{"map", "--qemu-version", "7.2", "--output=human", "-f", format, name},
				} {
					if got, want := transcript(real, args), transcript(walked, args); got != want {
						t.Errorf("instarfs %q in a guest:\n%.3000s\nin this process:\n%.3000s",
							args, got, want)
					}
				}
			})
		}
	}
}

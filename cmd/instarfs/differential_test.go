package main

import (
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"instarfs/cmd/instarfs/guests"
	"instarfs/guest/format/formattest"
	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/guest/format/qemutest"
	"instarfs/vmm/chain"
)

// keptEngine is the real engine on a pool that outlives it.
type keptEngine struct{ *oneMap }

func (e keptEngine) Close() error {
	e.done()
	return nil
}

// realGuests are those of a carrier until the test ends.
func realGuests(t *testing.T, how guests.Isolation) guests.Pool {
	t.Helper()
	g, _, err := guests.New(guests.Options{Isolation: how, Ahead: 1}, guests.Limits{}.Allow())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

// realTool is the whole program on guests that serve many maps.
func realTool(t *testing.T) *tool {
	t.Helper()
	return toolOn(realGuests(t, testIsolation(t)))
}

// toolOn is the whole program on a runner that it does not close.
func toolOn(r chain.Runner) *tool {
	t := newTool()
	t.newEngine = func(o sharedOptions) (engine, error) {
		access, done, err := o.Access.open()
		if err != nil {
			return nil, err
		}
		engine := chain.NewEngine(r, access, chain.Limits{})
		return keptEngine{&oneMap{engine: engine, done: done}}, nil
	}
	return t
}

// differences is how many random images are tried: a few hundred, or what INSTARFS_DIFF says.
func differences(t *testing.T) int {
	t.Helper()
	s := os.Getenv("INSTARFS_DIFF")
	if s == "" {
		return 300
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("INSTARFS_DIFF: %v", err)
	}
	return n
}

// TestDifferential maps random images, sound, damaged and crafted, whole and in random windows. It
// compares standard output, error messages and exit status of both views with the installed
// qemu-img. A failure names its seed.
func TestDifferential(t *testing.T) { testDifferential(t, walkedTool(), differences(t)) }

// inGuests is how many of the images are mapped by guests too. Few are enough to see that a walker
// does the same there.
const inGuests = 30

// TestDifferentialInGuests maps the first of the images of TestDifferential in guests.
func TestDifferentialInGuests(t *testing.T) {
	eachCarrier(t, func(t *testing.T, how guests.Isolation) {
		testDifferential(t, toolOn(realGuests(t, how)), inGuests)
	})
}

// batch is how many images are made before the first of them is mapped. A map waits until its image
// has been quiet for a moment, and so all of a batch are waited for at the same time.
const batch = 25

// compareRandom makes n random images, each in a directory of its own, and compares them in
// subtests that are named by their seeds. make is called in the directory, and returns what
// compares.
func compareRandom(
	t *testing.T, n int,
	make func(t *testing.T, o *oracle, rng *rand.Rand, seed int) (compare func(*testing.T)),
) {
	t.Helper()
	for from := 0; from < n; from += batch {
		var dirs []string
		var compare []func(*testing.T)
		for seed := from; seed < min(n, from+batch); seed++ {
			o := newOracle(t)
			t.Chdir(o.dir)
			dirs = append(dirs, o.dir)
			compare = append(compare, make(t, o, rand.New(rand.NewSource(int64(seed))), seed))
		}
		for i := range compare {
			t.Run(fmt.Sprint(from+i), func(t *testing.T) {
				t.Chdir(dirs[i])
				compare[i](t)
			})
		}
	}
}

func testDifferential(t *testing.T, real *tool, n int) {
	compareRandom(t, n, func(t *testing.T, o *oracle, rng *rand.Rand, seed int) func(*testing.T) {
		name := "image"
		switch seed % 6 {
		case 0:
			qemutest.RandomRaw(t, rng, o.dir, name)
		case 1:
			qemutest.RandomQcow2(t, rng, o.dir, name)
			qemutest.CorruptQcow2(t, rng, filepath.Join(o.dir, name))
		case 2:
			crafted(t, rng, name)
		default:
			qemutest.RandomQcow2(t, rng, o.dir, name)
		}
		settle(t, name)
		return func(t *testing.T) {
			windows := [][]string{nil}
			for range 3 {
				start, length := formattest.RandomWindow(rng, 1<<(9+rng.Intn(18)))
				windows = append(windows,
					[]string{"-s", fmt.Sprint(start), "-l", fmt.Sprint(length)})
			}
			for _, w := range windows {
				for _, output := range []string{"--output=json", "--output=human"} {
					o.compareWith(t, real, strings.Join(append(w, output, name), "\x00"))
				}
			}
		}
	})
}

// crafted writes an image whose tables no writer would make.
func crafted(t *testing.T, rng *rand.Rand, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := qcow2test.RandomEntries(rng, "").Write(f); err != nil {
		t.Fatal(err)
	}
}

// settle makes a file give the same answers whoever looks at it. It is read, because what was
// reserved and never written is a hole until somebody has read it, and then synced and aged.
func settle(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Fatal(err)
	}
	syncAndAge(t, name)
}

// syncAndAge writes a file out, because what it occupies decides whether qcow2 looks for holes. The
// file then seems to be a minute old, so that nobody waits for its last write to be over.
func syncAndAge(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if old := time.Now().Add(-time.Minute); os.Chtimes(name, old, old) != nil {
		t.Fatalf("%s: its times cannot be set", name)
	}
}

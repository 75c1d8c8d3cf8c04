package fusefs

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"instarfs/fusefs/view"
	"instarfs/guest/extent"
)

// BenchmarkListing compares commands over a mount of ten thousand images with the same over the
// directory of the images. Each runs once when the mount is new and the images are unmapped
// ("first"), and then with everything mapped, at once and after the kernel's knowledge expired
// ("warm", "later").
func BenchmarkListing(b *testing.B) {
	const images = 10_000
	src := newFakeSource(b, 0)
	for n := range images {
		if err := os.WriteFile(filepath.Join(src.root, fmt.Sprintf("image-%05d.qcow2", n)),
			[]byte("s 1000"), 0644); err != nil {
			b.Fatal(err)
		}
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(src.root, old, old); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, script string }{
		{"ls", "ls $0"}, {"find", "find $0 -name '*.json'"}, {"ls-l", "ls -l $0"},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				script := c.script + " >/dev/null"
				src.mu.Lock()
				clear(src.cached)
				src.mu.Unlock()
				m := mountFake(b, src, nil)
				first := elapsed(b, script, m.dir)
				elapsed(b, "ls -l $0 >/dev/null", m.dir)
				warm := min(elapsed(b, script, m.dir), elapsed(b, script, m.dir))
				time.Sleep(timeout + 100*time.Millisecond)
				later := elapsed(b, script, m.dir)
				source := min(elapsed(b, script, src.root), elapsed(b, script, src.root))
				b.ReportMetric(ms(source), "ms/source")
				b.ReportMetric(ms(first), "ms/first")
				b.ReportMetric(ms(warm), "ms/warm")
				b.ReportMetric(ms(later), "ms/later")
				if err := m.unmount(); err != nil {
					b.Error(err)
				}
			}
		})
	}
}

func elapsed(b *testing.B, script, dir string) time.Duration {
	b.Helper()
	start := time.Now()
	if out, err := exec.Command("sh", "-c", script, dir).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return time.Since(start)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// slab is a rendering that costs nothing but the copy.
type slab []byte

func (s slab) Size() int64 { return int64(len(s)) }

func (s slab) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(s)) {
		return 0, io.EOF
	}
	return copy(p, s[off:]), nil
}

// BenchmarkThroughput reads a big file for the first time, and again from the page cache.
func BenchmarkThroughput(b *testing.B) {
	content := make(slab, 125<<20)
	src := newFakeSource(b, 0)
	src.put(b, "big.img", "b", 1)
	slabs := func(*extent.Map, view.View) (Rendering, error) { return content, nil }
	var first, again time.Duration
	n := 0
	for b.Loop() {
		n++
		m := mountFake(b, src, func(o *Options) { o.Render = slabs })
		elapsed(b, "cat $0/big.img.map.json >/dev/null", m.dir)
		// A new generation, so that the program and the mount are warm, but the pages are not.
		src.put(b, "big.img", "b", 1)
		first += elapsed(b, "cat $0/big.img.map.json >/dev/null", m.dir)
		again += elapsed(b, "cat $0/big.img.map.json >/dev/null", m.dir)
		if err := m.unmount(); err != nil {
			b.Error(err)
		}
	}
	gb := float64(len(content)) * float64(n) / 1e9
	b.ReportMetric(gb/first.Seconds(), "GB/s-first")
	b.ReportMetric(gb/again.Seconds(), "GB/s-again")
}

// BenchmarkOpen is open, read and close of a small file that is mapped.
func BenchmarkOpen(b *testing.B) {
	src := newFakeSource(b, 0)
	src.put(b, "a.img", "a", 4096)
	m := mountFake(b, src, nil)
	file := m.path("a.img.map.json")
	m.read("a.img.map.json")
	for b.Loop() {
		if _, err := os.ReadFile(file); err != nil {
			b.Fatal(err)
		}
	}
}

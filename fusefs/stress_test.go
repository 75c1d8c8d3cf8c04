package fusefs

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"instarfs/fusefs/view"
)

// Each opens a file once; whatever happens to the image meanwhile, what it reads is one content,
// whole.
var stressReaders = [][]string{
	{"cat"}, {"busybox", "cat"}, {"dd", "bs=64k", "status=none"},
	{"read"}, {"sendfile"}, {"splice"}, {"mmap-fstat"}, {"mmap-private"}, {"copy"},
}

// TestReplacedImages reads while images are replaced every few milliseconds.
func TestReplacedImages(t *testing.T) { stress(t, 4*time.Second) }

// TestReplacedImagesOneProcessor is the same with one thread that runs Go code: what deadlocks,
// deadlocks here.
func TestReplacedImagesOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	stress(t, 2*time.Second)
}

func stress(t *testing.T, duration time.Duration) {
	const images = 4
	src := newFakeSource(t, time.Millisecond)
	replace := func(n int) {
		src.put(t, fmt.Sprintf("%d.img", n%images), fmt.Sprint("seed", n), 100+rand.Int64N(300_000))
	}
	for n := range images {
		replace(n)
	}
	m := mountFake(t, src, nil)
	var (
		wg    sync.WaitGroup
		reads atomic.Int64
		stop  = make(chan struct{})
	)
	wg.Go(func() {
		for n := images; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
				replace(n)
			}
		}
	})
	for worker := range 8 {
		wg.Go(func() {
			for n := worker; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				how := stressReaders[n%len(stressReaders)]
				v := view.Listed[n/len(stressReaders)%len(view.Listed)]
				checkWhole(t, how, m.path(fmt.Sprintf("%d.img%s", n%images, v)), v)
				reads.Add(1)
			}
		})
	}
	wg.Go(func() { // what lists, and looks up sizes that are not known
		for {
			select {
			case <-stop:
				return
			default:
				command(t, "ls", "-l", m.dir)
			}
		}
	})
	time.Sleep(duration)
	close(stop)
	wg.Wait()
	t.Logf("%d reads", reads.Load())
	if err := m.unmount(); err != nil {
		t.Error(err)
	}
	if n := m.logged(""); n > 0 {
		t.Errorf("the log has %d lines, first %q", n, m.log[0])
	}
}

// checkWhole reads a file and checks that it is what its first line says.
func checkWhole(t *testing.T, how []string, file string, v view.View) {
	program, args := how[0], append(how[1:len(how):len(how)], file)
	if _, ok := clients[program]; ok && program != "cat" {
		program, args = clientCommand(program, file)
	}
	if program == "dd" {
		args[len(args)-1] = "if=" + file
	}
	cmd := exec.Command(program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		t.Errorf("%v: %v: %s", how, err, stderr.String())
		return
	}
	var line string
	fmt.Sscanf(string(got), "%s", &line)
	seed, ok := strings.CutSuffix(line, v.String())
	if !ok || string(fakeContent(seed, len(got), v)) != string(got) {
		t.Errorf("%v: %d bytes that start with %q are not one content", how, len(got), line)
	}
}

// Sizes around those of pages, read-ahead windows and requests.
func TestSizes(t *testing.T) {
	sizes := []int64{0, 1, 4095, 4096, 4097, 131072, 131073, 1 << 20, 1<<20 + 1}
	src := newFakeSource(t, 5*time.Millisecond)
	for _, size := range sizes {
		src.put(t, fmt.Sprintf("%d.img", size), "s", size)
	}
	for _, how := range []string{"cat", "busybox", "read", "sendfile", "splice", "mmap-stat",
		"mmap-fstat", "mmap-private", "copy"} {
		m := mountFake(t, fakeSourceAt(src.root, 5*time.Millisecond), nil)
		for _, size := range sizes {
			file := m.path(fmt.Sprintf("%d.img.map.json", size))
			var got string
			if how == "busybox" {
				got = command(t, how, "cat", file)
			} else {
				program, args := clientCommand(how, file)
				got = command(t, program, args...)
			}
			if got != string(fakeContent("s", int(size), view.JSON)) {
				t.Errorf("%s: %d bytes of a file of %d, or the wrong ones", how, len(got), size)
			}
		}
		if err := m.unmount(); err != nil {
			t.Error(err)
		}
	}
}

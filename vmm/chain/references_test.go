package chain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/format/qcow2/qcow2test"
	"instarfs/vmm/chaintest"
	"instarfs/vmm/failure"
	"instarfs/vmm/files"
	"instarfs/vmm/vmmtest"
)

// TestNameOfAGibibyte: an image claims that the name of its backing file is as long as that, or
// longer than any.
func TestNameOfAGibibyte(t *testing.T) {
	for _, n := range []uint32{1024, 1 << 30, 1<<32 - 1} {
		q := qcow2test.New(1<<20, 16)
		q.Backing = "base"
		q.Spoil32(qcow2test.OffBackingFileSize, n)
		name := filepath.Join(t.TempDir(), "top")
		if err := os.WriteFile(name, q.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := NewEngine(vmmtest.Walker{}, Access{}, Limits{}).MapFile(t.Context(), name, whole)
		var failed *failure.Error
		if !errors.As(err, &failed) ||
			!strings.Contains(err.Error(), "Backing file name too long") || len(err.Error()) > 500 {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestRefusalsAreAlike: all that differs between the refusal of a file that is there and of one
// that is not is its name.
func TestRefusalsAreAlike(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"/images", "/outside"} {
		if err := os.Mkdir(root+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(root+"/outside/aaaa", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	said := func(name string) string {
		qcow2(t, root+"/images/top", name, "raw")
		_, err := NewEngine(vmmtest.Walker{}, Access{}, Limits{}).MapFile(t.Context(),
			root+"/images/top", whole)
		return strings.ReplaceAll(fmt.Sprint(err), name, "NAME")
	}
	for _, prefix := range []string{"../outside/", root + "/outside/"} {
		if a, b := said(prefix+"aaaa"), said(prefix+"bbbb"); a != b {
			t.Errorf("%s\n%s", a, b)
		}
	}
}

// TestDepth: chains that are too long, endless, or just long enough.
func TestDepth(t *testing.T) {
	dir := t.TempDir()
	chain := func(n int, last string) string {
		for i := range n {
			backing := fmt.Sprintf("%d-%d", n, i+1)
			if i == n-1 {
				backing = last
			}
			qcow2(t, fmt.Sprintf("%s/%d-%d", dir, n, i), backing, "")
		}
		return fmt.Sprintf("%s/%d-0", dir, n)
	}
	for _, tc := range []struct {
		top  string
		max  int
		want error
	}{
		{chain(65, ""), 0, nil},
		{chain(66, ""), 0, failure.ErrDeep},
		{chain(67, ""), 66, nil},
		{chain(1000, ""), 0, failure.ErrDeep},
		{chain(1000, ""), 999, nil},
		{chain(1, "1-0"), 0, failure.ErrLoop},
		{chain(2, "2-0"), 0, failure.ErrLoop},
		{chain(3, "3-1"), 0, failure.ErrLoop},
		{chain(60, "./60-0"), 0, failure.ErrLoop},
		{chain(100, "100-0"), 0, failure.ErrDeep},
		{chain(100, "100-0"), 1000, failure.ErrLoop},
	} {
		r, err := NewEngine(vmmtest.Walker{}, Access{MaxDepth: tc.max},
			Limits{Cache: 1 << 20}).MapFile(t.Context(), tc.top, whole)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s, up to %d: %v, want %v", filepath.Base(tc.top), tc.max, err, tc.want)
		}
		var failed *failure.Error
		if tc.want != nil && errors.As(err, &failed) && failed.Errno() != unix.ELOOP {
			t.Errorf("%s: %v", filepath.Base(tc.top), failed.Errno())
		}
		if tc.want == nil && err == nil && r.Map.At(0).Depth == 0 {
			t.Errorf("%s: %+v", filepath.Base(tc.top), r.Map.At(0))
		}
	}
}

// TestLinkSwappedWhileOpening: a link that changes from a file beneath the tree to one outside,
// again and again, never leads outside.
func TestLinkSwappedWhileOpening(t *testing.T) {
	root := t.TempDir()
	dir := root + "/images"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	qcow2(t, dir+"/inside", "", "", 1)
	// What is outside has another size, which would show.
	if err := os.WriteFile(root+"/outside", make([]byte, 512), 0o644); err != nil {
		t.Fatal(err)
	}
	qcow2(t, dir+"/top", "base", "qcow2")
	if err := os.Symlink("inside", dir+"/base"); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	swapped := make(chan struct{})
	go func() {
		defer close(swapped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Symlink([]string{"../outside", "inside"}[i%2], dir+"/next")
			_ = os.Rename(dir+"/next", dir+"/base")
		}
	}()
	defer func() { close(stop); <-swapped }()
	e := NewEngine(vmmtest.Walker{}, Access{}, Limits{Cache: 1 << 20})
	var mapped, refusals int
	for until := time.Now().Add(chaintest.GiveUp); (mapped < 50 || refusals < 50) &&
		time.Now().Before(until); {
		r, err := e.MapFile(t.Context(), dir+"/top", whole)
		var failed *failure.Error
		switch {
		case err == nil:
			mapped++
			if at := r.Map.At(r.Map.Find(1 << 16)); at.Depth != 1 || at.Flags != stored {
				t.Fatalf("mapped over something else: %+v", at)
			}
		case errors.As(err, &failed) && failed.Errno() == unix.EACCES &&
			strings.Contains(err.Error(), files.ErrOutside.Error()):
			refusals++
		default:
			t.Fatal(err)
		}
	}
	if mapped == 0 || refusals == 0 {
		t.Errorf("%d times mapped, %d times refused", mapped, refusals)
	}
}

// TestAllowedDirectories: more roots, none at all, and all that there is.
func TestAllowedDirectories(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"/images", "/bases", "/bases/deep"} {
		if err := os.Mkdir(root+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	qcow2(t, root+"/bases/deep/base", "../lower", "", 3)
	qcow2(t, root+"/bases/lower", "", "", 4)
	qcow2(t, root+"/images/plain", "", "")
	if err := unix.Mkfifo(root+"/bases/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	allow, err := files.OpenTree(root + "/bases")
	if err != nil {
		t.Fatal(err)
	}
	defer allow.Close()
	for _, tc := range []struct {
		access  Access
		backing string
		want    error
	}{
		{Access{}, "../bases/deep/base", files.ErrOutside},
		{Access{Policy: files.Policy{Allow: []*files.Tree{allow}}}, "../bases/deep/base", nil},
		{Access{Policy: files.Policy{Allow: []*files.Tree{allow}}}, root + "/bases/deep/base", nil},
		{Access{Policy: files.Policy{Allow: []*files.Tree{allow}}},
			root + "/bases/deep/../../images/plain", nil},
		{Access{Policy: files.Policy{Allow: []*files.Tree{allow}}},
			"../bases/fifo", files.ErrNotRegular},
		{Access{Policy: files.Policy{Allow: []*files.Tree{allow}}},
			"/etc/passwd", files.ErrOutside},
		{Access{Policy: files.Policy{References: files.None}}, "plain", files.ErrNone},
		{Access{Policy: files.Policy{References: files.None, Allow: []*files.Tree{allow}}},
			"../bases/deep/base", files.ErrNone},
		{Access{Policy: files.Policy{References: files.Any}}, "../bases/deep/base", nil},
		{Access{Policy: files.Policy{References: files.Any}}, root + "/bases/deep/base", nil},
		{Access{Policy: files.Policy{References: files.Any}}, "../bases/fifo", files.ErrNotRegular},
		{Access{Policy: files.Policy{References: files.Any}}, "/dev/zero", files.ErrNotRegular},
		{Access{Policy: files.Policy{References: files.Any}},
			"/proc/self/status", files.ErrNotRegular},
		{Access{Policy: files.Policy{References: files.Any}}, "nbd:x", failure.ErrProtocol},
		{Access{Policy: files.Policy{References: files.Any}}, "../bases/not-there", unix.ENOENT},
	} {
		qcow2(t, root+"/images/top", tc.backing, "")
		r, err := NewEngine(vmmtest.Walker{}, tc.access,
			Limits{Cache: 1 << 20}).MapFile(t.Context(), root+"/images/top", whole)
		if !errors.Is(err, tc.want) {
			t.Errorf("%q with %+v: %v, want %v", tc.backing, tc.access, err, tc.want)
		}
		if err == nil && strings.HasSuffix(tc.backing, "deep/base") &&
			r.Map.At(r.Map.Find(4<<16)).Depth != 2 {
			t.Errorf("%q: %+v", tc.backing, extents(r.Map))
		}
	}
}

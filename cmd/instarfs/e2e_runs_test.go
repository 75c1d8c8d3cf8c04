package main

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"instarfs/cmd/instarfs/guests"
	"instarfs/cmd/instarfs/mirror"
	"instarfs/needs"
	"instarfs/vmm/session"
)

// counted counts runs.
type counted struct {
	guests.Pool
	runs atomic.Int64
}

func (c *counted) Run(ctx context.Context, job *session.Job) (*session.Layer, error) {
	c.runs.Add(1)
	return c.Pool.Run(ctx, job)
}

// mountCounted mounts in this process, real guests and all, and returns what counts them.
func mountCounted(t *testing.T, source, dir string) *counted {
	t.Helper()
	c := &counted{Pool: realGuests(t, testIsolation(t))}
	log := func(line string) { t.Errorf("log: %s", line) }
	mountOn(t, c, mountOptions{Options: mirror.Options{
		Source: source, Mountpoint: dir, CacheBytes: defaultCacheBytes,
		Log: log}})
	return c
}

// mountOn mounts in this process until the test ends.
func mountOn(t *testing.T, g guests.Pool, o mountOptions) {
	t.Helper()
	needs.FUSE(t)
	m, err := newMountOn(g, guests.Limits{}.Allow(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- m.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A listing starts no guest, whatever does it; a stat starts one for each image, once, whoever asks
// for what later.
func TestRunsOfListingAndStat(t *testing.T) {
	source, dir := sampleTree(t), t.TempDir()
	counted := mountCounted(t, source, dir)
	expect := func(script string, want int) {
		t.Helper()
		out := bash(t, script, "M="+dir)
		if n := counted.runs.Load(); int(n) != want {
			t.Fatalf("after %s: %d runs, want %d; it prints %s", script, n, want, out)
		}
	}
	for _, script := range []string{
		`\ls $M $M/sub $M/sub/deep`, `\ls -aR $M`, `find $M`, `find $M -name '*.json'`,
		`find $M -type f`, `cd $M && echo * */*`,
		`cd $M && compgen -f sub/`, `stat $M $M/sub $M/none.map.json`,
		`cat $M/none.qcow2.map.txt $M/sub/none.map.err`,
		`python3 -c 'import os, sys; print(sum(len(f) for _, _, f in os.walk(sys.argv[1])))' $M`,
	} {
		expect(script, 0)
	}
	images := len(sampleImages)
	for _, script := range []string{
		`ls -lR $M`, `ls --color=always -R $M`, `find $M -type f -size +0`, `cd $M && du -ab`,
		`tar -c -C $M . | cat`, `grep -r zero $M`,
	} {
		expect(script, images)
	}
	// A new generation costs one run, of that image.
	far := time.Unix(4e9, 0)
	if err := os.Chtimes(filepath.Join(source, "disk.qcow2"), far, far); err != nil {
		t.Fatal(err)
	}
	await(t, "the new time shows", func() bool {
		return bash(t, "stat -c %Y $M/disk.qcow2.map.json", "M="+dir) == "4000000000\n"
	})
	expect("cat $M/disk.qcow2.map.*; ls -lR $M", images+1)
}

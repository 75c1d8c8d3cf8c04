package status

import (
	"testing"
	"time"

	"instarfs/stats"
)

func TestText(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.Local)
	s := stats.Status{
		Version: "v1", Source: "/images", Mountpoint: "/mnt", PID: 12, Carrier: "kvm",
		Since:   now.Add(-51 * time.Hour),
		Options: map[string]string{"max-depth": "3", "cache-bytes": "1G"},
		Images:  stats.Images{Mapped: 7, WithoutMap: 2, Forgotten: 1},
		Runs:    stats.Runs{Done: 5, Failed: 2}, Guests: stats.Guests{Busy: 1, Ready: 3},
		Cache: stats.Cache{Bytes: 1536, Limit: 1 << 30, Maps: 4, Hits: 8, Misses: 6,
			Evictions: 2},
		Memory: stats.Memory{Bytes: 5 << 20, Limit: 3 << 40}, OpenFiles: 9,
		Errors: []stats.Failure{{Image: "a", Errno: "EIO", Reason: "a: damaged", Since: now}},
	}
	const want = `mount    /images at /mnt
process  12, instarfs v1, for 2d 3h
options  cache-bytes=1G max-depth=3
guests   kvm, 1 at work, 3 ready
runs     5 done, 2 failed
maps     7 served, 3 images have none
cache    4 maps, 1.5 KiB of 1.0 GiB; 8 hits, 6 misses, 2 evictions
memory   5.0 MiB of 3.0 TiB
files    9 open
error    EIO a: damaged, since 2026-05-04 03:02:01
`
	if got := text(s, now); got != want {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
}

func TestUnits(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB",
		1<<20 - 1: "1024.0 KiB", 1 << 20: "1.0 MiB", 1 << 62: "4194304.0 TiB"} {
		if got := binarySize(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{1500 * time.Millisecond: "1s",
		59 * time.Minute: "59m0s", time.Hour: "1h 0m", 100 * time.Hour: "4d 4h"} {
		if got := elapsed(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

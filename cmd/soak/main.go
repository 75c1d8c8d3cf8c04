// Command soak keeps a mount with real guests under load, and looks for faults that take time
// to show: wrong bytes, maps shown to users who may not read them, unexpected errors, and
// anything that grows. It runs as root:
//
//	make soak DURATION=10m
//
// Writers replace images by renames and in place, replace the bases of overlays, close files
// and directories to other users and open them again, move directories away, truncate, punch,
// remove and damage images, and stop a FUSE mount in the source. Readers compare each map with
// the two that it may be, hold files open, map them into memory, and list the tree; some are
// killed, and one user reads files that only root may read. They work in five rounds. After
// each round the mount rests and is measured. Each fault, and each measure that grew, has one
// line, and makes the exit status 1.
package main

import (
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == asOther {
		serveRequests()
		return
	}
	binary := flag.String("instarfs", "bin/instarfs", "the program to test")
	duration := flag.Duration("duration", 10*time.Minute, "how long readers and writers work")
	seed := flag.Int64("seed", time.Now().UnixNano(), "of the random numbers")
	flag.Parse()
	faults, err := run(*binary, *duration, *seed)
	for _, f := range faults {
		fmt.Println("soak: FAULT:", f)
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak: FAILED:", err)
		os.Exit(1)
	case len(faults) > 0:
		fmt.Fprintf(os.Stderr, "soak: FAILED: %d kinds of faults (seed %d)\n", len(faults), *seed)
		os.Exit(1)
	}
	fmt.Println("soak: no faults")
}

const (
	// rounds is how often the mount is measured: growth shows between the first and the last.
	rounds = 5
	// rest is the time that the mount gets to finish work that no caller waits for, and to
	// return memory.
	rest = 10 * time.Second
)

// run makes images, mounts them, keeps the mount busy, and returns one line for each kind of fault.
func run(binary string, duration time.Duration, seed int64) (faults []string, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("soak must run as root: it reads as other users, and mounts " +
			"for them")
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "instarfs-soak-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // other users read below it
		return nil, err
	}
	w, err := newWorld(binary, dir, rand.New(rand.NewSource(seed)))
	if err != nil {
		return nil, err
	}
	defer w.end()
	fresh, err := w.freshGoroutines()
	if err != nil {
		return nil, err
	}
	if w.mount, err = mountAt(binary, w.source, w.point); err != nil {
		return nil, err
	}
	var history []usage
	for round := range rounds {
		if err := w.work(duration/rounds, seed+int64(round)<<32); err != nil {
			return nil, err
		}
		time.Sleep(rest)
		u, err := w.mount.usage()
		if err != nil {
			return nil, err
		}
		history = append(history, u)
		fmt.Printf("soak: round %d of %d: %s; at rest: %s\n", round+1, rounds, w.tally.summary(), u)
	}
	log, err := w.mount.quit()
	if err != nil {
		return nil, err
	}
	faults = append(w.tally.faults(), grown(history)...)
	return append(faults, complaints(log, fresh)...), nil
}

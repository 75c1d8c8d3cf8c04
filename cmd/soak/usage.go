package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// usage is what the process of a mount holds and does without requests.
type usage struct {
	descriptors, machines, threads int
	memory                         int // MiB that are resident
	busy                           time.Duration
}

func (u usage) String() string {
	return fmt.Sprintf("%d descriptors, %d machines, %d threads, %d MiB, %v busy in a second",
		u.descriptors, u.machines, u.threads, u.memory, u.busy)
}

// usage measures the process that serves the mount.
func (m *mount) usage() (u usage, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.server))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		var n int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			u.memory = n >> 10
		}
		if _, err := fmt.Sscanf(line, "Threads: %d", &n); err == nil {
			u.threads = n
		}
	}
	dir := fmt.Sprintf("/proc/%d/fd", m.server)
	list, err := os.ReadDir(dir)
	if err != nil {
		return u, err
	}
	for _, e := range list {
		if what, _ := os.Readlink(dir + "/" + e.Name()); strings.Contains(what, "kvm-vm") {
			u.machines++
		}
	}
	u.descriptors = len(list)
	before, err := m.processorTime()
	if err != nil {
		return u, err
	}
	time.Sleep(time.Second)
	after, err := m.processorTime()
	u.busy = after - before
	return u, err
}

// processorTime returns the time that the process has used, see proc_pid_stat(5): fields 14 and
// 15, in 1/100 s.
func (m *mount) processorTime() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.server))
	if err != nil {
		return 0, err
	}
	text := string(b)
	var user, system int
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", m.server, len(fields))
	}
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

// How much more a mount may hold at the end than in the first rounds. Go keeps threads that it
// needed once, and the garbage collector may use a whole processor at rest.
const (
	moreDescriptors = 4
	moreThreads     = 16
	moreMemory      = 96 // MiB
	mostBusy        = 300 * time.Millisecond
)

// grown returns a line for each thing of which the last round left more than the first half.
func grown(history []usage) (faults []string) {
	last := history[len(history)-1]
	var most usage
	for _, u := range history[:(len(history)+1)/2] {
		most.descriptors = max(most.descriptors, u.descriptors)
		most.machines = max(most.machines, u.machines)
		most.threads = max(most.threads, u.threads)
		most.memory = max(most.memory, u.memory)
	}
	compare := func(what string, was, is, more int) {
		if is > was+more {
			faults = append(faults, fmt.Sprintf("%d %s at the end, at most %d in the first rounds",
				is, what, was))
		}
	}
	compare("descriptors", most.descriptors, last.descriptors, moreDescriptors)
	compare("machines", most.machines, last.machines, 0)
	compare("threads", most.threads, last.threads, moreThreads)
	compare("MiB of memory", most.memory, last.memory, moreMemory)
	if last.busy > mostBusy {
		faults = append(faults, fmt.Sprintf("busy for %v of a second, with nothing to do",
			last.busy))
	}
	return faults
}

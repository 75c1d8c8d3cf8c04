package main

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"instarfs/vmm/chain"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
	"instarfs/vmm/turns"
)

// limitOptions say what maps may cost. What is zero has its default; docs/limits.md tells them all.
type limitOptions struct {
	Guest, Call, Source, Compose, Map time.Duration
	Memory                            uint64 // bytes, for all maps together
}

// timeOption is an option that takes a time.
type timeOption struct {
	name, help string
	d          *time.Duration
}

func (l *limitOptions) times() []timeOption {
	return []timeOption{
		{"guest-time", "processor `TIME` of a run of the guest (default 1m)", &l.Guest},
		{"call-time", "`TIME` for a file system to answer one call (default 30s)", &l.Call},
		{"source-time", "`TIME` to read the files under a map (default 10m)", &l.Source},
		{"compose-time", "`TIME` to put a map together (default 1m)", &l.Compose},
		{"map-time", "`TIME` for a map in all (default 15m)", &l.Map},
	}
}

// minMemory is the least that --memory can be, bytes: the program, and a machine or two with small
// maps.
const minMemory = 64 << 20

// ownMemory is what the program takes itself, bytes: the runtime, the guest, buffers, what is not
// collected yet.
const ownMemory = 48 << 20

func (l *limitOptions) check() error {
	if l.Memory != 0 && l.Memory < minMemory {
		return fmt.Errorf("--memory %d must be at least %d (64M)", l.Memory, minMemory)
	}
	return nil
}

// allowance is what runs and compositions may use together.
type allowance struct {
	bytes  uint64 // that may be used in all
	memory *ledger.Ledger
	turns  *turns.Desk
	limits limitOptions
}

// allowance makes what the options allow, and keeps the heap of the process to it.
func (l limitOptions) allowance() allowance {
	if l.Memory == 0 {
		l.Memory = uint64(defaultMemory())
	}
	limitHeap(int64(l.Memory))
	return allowance{
		bytes: l.Memory, memory: ledger.New(int64(l.Memory) - ownMemory),
		turns: turns.New(runtime.GOMAXPROCS(0)), limits: l,
	}
}

// budget is that of a run.
func (r allowance) budget() session.Budget {
	b := session.DefaultBudget
	if r.limits.Guest > 0 {
		b.Time = r.limits.Guest
	}
	return b
}

// seats are how many long runs may keep their machines while they wait: a quarter of the memory.
func (r allowance) seats() int {
	const machine, most = 8 << 20, 64
	return int(max(1, min(r.bytes/4/machine, most)))
}

// chain is what package chain is to keep to, with so many bytes of maps kept, of which half of the
// memory is the most.
func (r allowance) chain(cache uint64) chain.Limits {
	return chain.Limits{
		Cache: int64(min(cache, r.bytes/2)), Memory: r.memory, Turns: r.turns,
		Call: r.limits.Call, Source: r.limits.Source, Compose: r.limits.Compose, Map: r.limits.Map,
	}
}

var errTime = errors.New("not a time: use a number of seconds, or numbers with h, m, s or ms, " +
	"more than 0")

// parseTime reads a time: 90, 1.5m, 1h30m.
func parseTime(s string) (time.Duration, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		s = strconv.FormatUint(n, 10) + "s"
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return d, nil
	}
	return 0, errTime
}

// timeValue is a flag that takes a time.
type timeValue struct{ d *time.Duration }

func (v timeValue) Set(s string) (err error) {
	d, err := parseTime(s)
	if err == nil {
		*v.d = d
	}
	return err
}

func (v timeValue) String() string {
	if v.d == nil || *v.d == 0 {
		return ""
	}
	return v.d.String()
}

func (v timeValue) Type() string { return "TIME" }

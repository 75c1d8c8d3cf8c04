package main

import (
	"runtime"
	"time"

	"instarfs/cmd/instarfs/memory"
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

// ownMemory is what the program takes itself, bytes: the runtime, the guest, buffers, what is not
// collected yet.
const ownMemory = 48 << 20

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
		l.Memory = uint64(memory.Default())
	}
	memory.LimitHeap(int64(l.Memory))
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

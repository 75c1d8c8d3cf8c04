package guests

import (
	"runtime"
	"time"

	"instarfs/cmd/instarfs/memory"
	"instarfs/vmm/chain"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
	"instarfs/vmm/turns"
)

// Limits say what maps may cost. Zero stands for the default; docs/limits.md lists them all.
type Limits struct {
	Guest, Call, Source, Compose, Map time.Duration
	Memory                            uint64 // bytes, for all maps together
}

// ownMemory is what the program itself takes, bytes: the runtime, the guest, buffers, and what is
// not collected yet.
const ownMemory = 48 << 20

// Allowance is what runs and compositions may use together.
type Allowance struct {
	Bytes  uint64 // of memory, in all
	memory *ledger.Ledger
	turns  *turns.Desk
	limits Limits
}

// Allow returns what the limits allow, and keeps the heap of the process to it.
func (l Limits) Allow() Allowance {
	if l.Memory == 0 {
		l.Memory = uint64(memory.Default())
	}
	memory.LimitHeap(int64(l.Memory))
	return Allowance{
		Bytes: l.Memory, memory: ledger.New(int64(l.Memory) - ownMemory),
		turns: turns.New(runtime.GOMAXPROCS(0)), limits: l,
	}
}

// budget is what one run may use.
func (r Allowance) budget() session.Budget {
	b := session.DefaultBudget
	if r.limits.Guest > 0 {
		b.Time = r.limits.Guest
	}
	return b
}

// seats is how many long runs may keep their machines while they wait: a quarter of the memory.
func (r Allowance) seats() int {
	const machine, most = 8 << 20, 64
	return int(max(1, min(r.Bytes/4/machine, most)))
}

// Chain returns the limits of package chain. It may keep maps of so many bytes, but not of more
// than half of the memory.
func (r Allowance) Chain(cache uint64) chain.Limits {
	return chain.Limits{
		Cache: int64(min(cache, r.Bytes/2)), Memory: r.memory, Turns: r.turns,
		Call: r.limits.Call, Source: r.limits.Source, Compose: r.limits.Compose, Map: r.limits.Map,
	}
}

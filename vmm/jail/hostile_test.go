package jail

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/vmm/jail/jailtest"
	"instarfs/vmm/ledger"
	"instarfs/vmm/session"
)

// hostile is what a guest does, and how its run must end.
type hostile struct {
	name string
	do   does
	kind session.Kind
	what string // part of the error
}

// check looks at the error of such a run.
func (h hostile) check(t *testing.T, err error) {
	t.Helper()
	g := guestError(t, err)
	said := err.Error()
	if g.Kind != h.kind || !strings.Contains(said, h.what) || strings.Contains(said, "\n") {
		t.Errorf("%s: kind %v, want %v; %q, want %q in it", h.name, g.Kind, h.kind, said, h.what)
	}
	if g.Carrier != "process" || len(g.Log) > session.MaxLog {
		t.Errorf("%s: carrier %q, log of %d bytes", h.name, g.Carrier, len(g.Log))
	}
}

// long is a message whose payload is n bytes, which need not fit into the script.
func (d does) long(kind, number uint32, n int) does {
	header := make([]byte, abi.HeaderLen)
	abi.Header{Kind: kind, N: number, Length: uint32(n)}.Encode(header)
	const part = 4096
	d = d.add(jailtest.Send, 1, header).add(jailtest.Send, uint32(n/part), make([]byte, part))
	return d.add(jailtest.Send, 1, make([]byte, n%part))
}

// read is a message that asks for a read.
func read(sector uint64, length uint32) []byte {
	return message(abi.MsgRead, 1, request(sector, length))
}

// many are n extents of a byte each.
func many(n int) []byte {
	es := make([]extent.Extent, n)
	for i := range es {
		es[i] = extent.Extent{Start: uint64(i), Length: 1}
		if i%2 == 0 {
			es[i].Flags = extent.Present | extent.Zero
		}
	}
	return records(es...)
}

// protocol are guests that break the rules of messages.
func protocol() (list []hostile) {
	add := func(name, what string, do does) {
		list = append(list, hostile{name, do, session.KindProtocol, what})
	}
	start := does{}
	for _, kind := range []uint32{
		0, abi.MsgSteps, abi.MsgJob, abi.MsgData, abi.MsgStepsDone, abi.MsgFork, abi.MsgForked, 10,
		math.MaxUint32,
	} {
		what := fmt.Sprintf("message of kind %d during a run", kind)
		add(what, what, start.send(kind, 0))
	}
	for _, n := range []uint32{abi.MaxMessage + 1, 1 << 31, math.MaxUint32} {
		header := make([]byte, abi.HeaderLen)
		abi.Header{Kind: abi.MsgRecords, N: 1, Length: n}.Encode(header)
		what := fmt.Sprintf("message of %d bytes", n)
		add(what, what, start.add(jailtest.Send, 1, header))
	}
	for _, x := range []struct {
		n      uint32
		length int
	}{
		{0, 0}, {0, 32}, {1, 0}, {1, 31}, {1, 33}, {1, 64}, {2, 32},
		{math.MaxUint32, 32}, {1 << 27, 32},
		{abi.RingRecords + 1, abi.RingLen + abi.RecordLen},
		{abi.RingRecords, abi.RingLen + abi.RecordLen},
	} {
		what := fmt.Sprintf("%d records in %d bytes", x.n, x.length)
		add(what, what, start.long(abi.MsgRecords, x.n, x.length))
	}
	for _, x := range []struct {
		n      uint32
		length int
	}{
		{1, 0}, {1, 31}, {2, 63}, {math.MaxUint32, 32},
		{abi.RingRecords + 1, abi.RingLen + abi.RecordLen},
	} {
		what := fmt.Sprintf("%d records in %d bytes", x.n, x.length)
		add("the end: "+what, what, start.long(abi.MsgDone, x.n, x.length))
	}
	for _, x := range []struct {
		n      uint32
		length int
	}{
		{0, 0}, {0, 12}, {1, 0}, {1, 11}, {1, 13}, {1, 24}, {2, 12}, {math.MaxUint32, 12},
		{abi.MaxRequests + 1, (abi.MaxRequests + 1) * abi.ReadLen},
	} {
		what := fmt.Sprintf("%d requests in %d bytes", x.n, x.length)
		add(what, what, start.long(abi.MsgRead, x.n, x.length))
	}
	for _, n := range []uint32{0, 1, 511, 513, math.MaxUint32} {
		what := fmt.Sprintf("request of %d bytes", n)
		add(what, what, start.send(abi.MsgRead, 1, request(0, n)))
	}

	one := records(whole(4096))
	end := func(r abi.Result, es ...extent.Extent) does {
		return start.send(abi.MsgDone, uint32(len(es)), records(es...), result(r))
	}
	add("gap", "does not start where",
		start.send(abi.MsgRecords, 1, records(extent.Extent{Start: 1, Length: 1})).good())
	add("same again", "does not start where", start.send(abi.MsgRecords, 1, one).good())
	add("overlap in the end", "does not start where",
		end(abi.Result{Extents: 2}, whole(4096), whole(4096)))
	add("unknown flag", "unknown flags", start.send(abi.MsgRecords, 1,
		records(extent.Extent{Length: 1, State: extent.State{Flags: extent.All + 1}})).good())
	add("no result", "magic", start.send(abi.MsgDone, 0))
	add("garbage for a result", "magic",
		start.send(abi.MsgDone, 0, bytes.Repeat([]byte{0xa5}, 5000)))
	add("half a result", "magic",
		start.send(abi.MsgDone, 1, one, result(abi.Result{Extents: 1})[:63]))
	counts := result(abi.Result{})
	le.PutUint32(counts[28:], 1<<31)
	add("more faults than fit", "counts", start.send(abi.MsgDone, 0, counts))
	le.PutUint32(counts[28:], abi.MaxFaults)
	add("faults that are not there", "shorter than it says", start.send(abi.MsgDone, 0, counts))
	add("unknown error", "unknown error code", end(abi.Result{Error: 99}))
	add("error without its fault", "without its fault", end(abi.Result{Error: fault.Corrupt}))
	add("wrong number of extents", "result of 2 extents",
		end(abi.Result{Extents: 2, VirtualSize: 4096}, whole(4096)))
	add("extents past the end", "of a window that ends at 512",
		end(abi.Result{Extents: 1, VirtualSize: 512}, whole(4096)))
	const data = extent.Present | extent.Data | extent.Offset
	add("a file that is not there", "reference 3 of 0", end(
		abi.Result{Extents: 1, VirtualSize: 4096},
		extent.Extent{Length: 4096, State: extent.State{Flags: data, File: 3}}))
	add("a long log", `it said "xxx`, start.noise().send(99, 0))
	return list
}

// noise writes a megabyte to the log, which nobody reads meanwhile.
func (d does) noise() does {
	b := bytes.Repeat([]byte("x"), 16<<10)
	var s abi.Steps
	at := s.Bytes(b)
	for range 1 << 20 / len(b) {
		s.Add(unix.SYS_WRITE, abi.Value(logFD), at, abi.Value(uint64(len(b))))
	}
	return d.steps(&s)
}

// ends are guests that end, one way or another, or use up what a run has.
func ends() []hostile {
	start := does{}
	sigsegv := int(unix.SIGSEGV)
	unhandled := start.call(unix.SYS_RT_SIGACTION, sigsegv, make([]byte, 32), 0, 8).want(0)
	reads := start
	for range 17 {
		reads = reads.ask(0, 1<<20)
	}
	return []hostile{
		{"exit 0", start.call(unix.SYS_EXIT_GROUP, 0), session.KindExit, "ended with status 0"},
		{"exit 3", start.call(unix.SYS_EXIT_GROUP, 3), session.KindExit, "ended with status 3"},
		{"panic", start.add(jailtest.Crash, 0, nil), session.KindExit,
			`it said "panic: runtime error: invalid memory`},
		// A frame of a signal that there was not.
		{"SIGSEGV", unhandled.call(unix.SYS_RT_SIGRETURN), session.KindFault,
			"exception: segmentation fault"},
		{"more memory than there is", start.add(jailtest.Allocate, 0, nil), session.KindMemory,
			"more than the 96 MiB"},
		{"threads", start.add(jailtest.Threads, 0, nil), session.KindExit,
			"failed to create new OS thread"},
		{"too many extents", start.send(abi.MsgRecords, 1500, many(1500)).good(),
			session.KindExtents, "more than 1000"},
		{"reads too much", reads, session.KindReads, "16777216 bytes"},
		{"reads too much at once", start.send(abi.MsgRead, 17, bytes.Repeat(request(0, 1<<20), 17)).
			add(jailtest.Receive, 32<<20, nil), session.KindReads, "16777216 bytes"},
		{"endless requests", start.add(jailtest.Ask, abi.HeaderLen+512, read(0, 512)),
			session.KindExits, "more than 20000 times"},
		{"endless requests past the end", start.add(jailtest.Ask, abi.HeaderLen, read(1<<63, 512)),
			session.KindExits, "more than 20000 times"},
	}
}

// TestHostileGuests: each guest does one thing that it must not.
func TestHostileGuests(t *testing.T) { mustEnd(t, append(protocol(), ends()...)) }

// mustEnd runs guests. The run of each ends with an error of its kind which says what happened,
// another run is served at the same time, and nothing is left of it.
func mustEnd(t *testing.T, list []hostile) {
	before, books := inUse(t), ledger.New(1<<30)
	p := newPool(t, session.Options{Memory: books})
	for _, h := range list {
		t.Run(h.name, func(t *testing.T) {
			var sibling sync.WaitGroup
			sibling.Go(func() { mustMap(t, p) })
			defer sibling.Wait()
			_, err := p.Run(t.Context(), h.do.job())
			h.check(t, err)
		})
	}
	mustMap(t, p)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	settled(t, before, books)
}

// TestHostileGuestsAtEachLevel: what guests do has the same end wherever they are confined by less.
func TestHostileGuestsAtEachLevel(t *testing.T) {
	var self abi.Steps
	pid := abi.ResultOf(self.Add(unix.SYS_GETPID))
	self.Add(unix.SYS_TGKILL, pid, pid, abi.Value(uint64(unix.SIGKILL)))
	for _, l := range levelsHere() {
		for _, report := range []bool{true, false} {
			before, books := inUse(t), ledger.New(1<<30)
			p := newPool(t, session.Options{Memory: books})
			p.force(l, report)
			refused := "system call that is not answered"
			if report {
				refused = fmt.Sprintf("system call %d", unix.SYS_GETPPID)
			}
			getppid := does{}.call(unix.SYS_GETPPID)
			list := append(ends(), hostile{"getppid", getppid, session.KindSyscall, refused})
			if l == bare { // the first process of a namespace cannot kill itself
				kill := does{}.steps(&self)
				list = append(list,
					hostile{"SIGKILL", kill, session.KindKilled, "the kernel ended"})
			}
			for _, h := range list {
				if h.name == "threads" && l != userNamespace {
					continue // this computer's limit is for all of a user's
				}
				h.name = fmt.Sprintf("%v, report %v: %s", l, report, h.name)
				_, err := p.Run(t.Context(), h.do.job())
				h.check(t, err)
			}
			mustMap(t, p)
			p.Close()
			settled(t, before, books)
		}
	}
}

// TestEndlessGuests: guests that never come to an end are stopped by the time that they may have.
func TestEndlessGuests(t *testing.T) {
	before, books := inUse(t), ledger.New(1<<30)
	budget := testBudget
	budget.Time = 300 * time.Millisecond
	p := newPool(t, session.Options{Memory: books, Budget: budget})
	start := does{}
	long := le.AppendUint64(le.AppendUint64(nil, 1e6), 0) // struct timespec
	var all sync.WaitGroup
	for _, h := range []hostile{
		{name: "says nothing", do: start},
		{name: "says half a message", do: start.add(jailtest.Send, 1, read(0, 512)[:20])},
		{name: "says half a header", do: start.add(jailtest.Send, 1, read(0, 512)[:3])},
		{name: "computes", do: start.add(jailtest.Spin, 1, nil)},
		{name: "computes on many threads", do: start.add(jailtest.Spin, 8, nil)},
		{name: "sleeps", do: start.call(unix.SYS_NANOSLEEP, long, 0)},
		{name: "takes nothing of what it asks for",
			do: start.add(jailtest.Send, 1, read(0, 1<<20)).call(unix.SYS_NANOSLEEP, long, 0)},
		{name: "asks for ever and takes nothing", do: start.add(jailtest.Send, 0, read(0, 1<<20))},
		{name: "asks for nothing for ever", do: start.add(jailtest.Send, 0, read(1<<40, 512))},
		{name: "lets its first thread end", do: start.call(unix.SYS_EXIT, 0)},
	} {
		h.kind, h.what = session.KindDeadline, "no result after 300ms of processor time"
		all.Go(func() {
			_, err := p.Run(t.Context(), h.do.job())
			h.check(t, err)
		})
	}
	all.Wait()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	settled(t, before, books)
}

// TestHarmlessGuests: what a guest may do, or what has no effect, does not end its run.
func TestHarmlessGuests(t *testing.T) {
	p := newPool(t, session.Options{})
	start := does{}
	const private = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	// past asks for what is not there.
	past := func(sector uint64, length uint32) does {
		return start.add(jailtest.Send, 1, read(sector, length)).
			add(jailtest.Receive, abi.HeaderLen, nil)
	}
	for name, do := range map[string]does{
		"nothing":           start,
		"a read":            start.ask(8, 512),
		"a long read":       start.ask(0, 1<<20),
		"read past the end": past(2047, 1024),
		"read far away":     past(math.MaxUint64, 512),
		"read of gigabytes": past(2048, math.MaxUint32-511),
		"a long log":        start.noise(),
		"the end, twice":    start.good(),
		"records after it":  start.good().send(abi.MsgRecords, 1, records(whole(4096))),
		"memory":            start.call(unix.SYS_MMAP, 0, 1<<20, 3, private, -1, 0),
		"too much memory": start.call(unix.SYS_MMAP, 0, dataLimit, 3, private, -1, 0).
			want(-int(unix.ENOMEM)),
		"its name":           start.call(unix.SYS_GETPID).want(1),
		"a signal to itself": start.call(unix.SYS_TGKILL, 1, 1, 0).want(0),
		"a signal to nobody": start.call(unix.SYS_TGKILL, 1, 12345, 9).want(-int(unix.ESRCH)),
	} {
		l, err := p.Run(t.Context(), do.good().job())
		if err != nil || l.VirtualSize != 4096 || l.Map.Len() != 1 {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

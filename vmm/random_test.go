package vmm

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand"
	"testing"
	"time"

	"instarfs/guest/abi"
	"instarfs/guest/extent"
	"instarfs/guest/fault"
	"instarfs/guest/img"
	"instarfs/needs"
	"instarfs/vmm/session"
	"instarfs/vmm/space"
)

// edges are numbers at which checks of the host begin or end.
var edges = []uint64{
	0, 1, 2, 3, 4, 7, 8, 15, 16, 0x7f, 0x80, 0xff, 0x100, 511, 512, 513, 4095, 4096, 4097, 8192,
	65535, 65536, 1<<20 - 1, 1 << 20,
	1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<47 - 1, 1 << 47, 1 << 48, 1 << 62, 1<<63 - 1,
	1 << 63, math.MaxUint64,
	math.MaxUint64 - 511, math.MaxUint64 - 4095, codeVA, dataVA, dataVA - 4, dataVA + 4090,
	space.TrapVA,
	space.GDTVA, space.TrapStack,
	space.SystemVA, space.SystemVA - 1, space.SystemVA - 4096, space.StackTopVA,
	space.StackTopVA - 8, space.StackTopVA - space.StackLen,
	space.MmapVA, space.EagerLen, space.EagerLen + 1,
	shared, shared + abi.SharedLen - 1, shared + abi.RingControl, abi.DeviceVA, abi.DoorbellVA,
	abi.SharedGPA, abi.RAMLen,
	abi.RAMLen - 1, abi.DeviceGPA,
}

// answered are the system calls that the host answers, some that it does not, and none.
var answered = []uint64{1, 9, 11, 13, 14, 24, 28, 35, 39, 56, 59, 72, 131, 157, 158, 186, 202, 204,
	228, 257, 100000}

// randomGuest does a few of all the things by which a guest can talk to the host, at random.
func randomGuest(rng *rand.Rand) *asm {
	number := func() uint64 {
		v := edges[rng.Intn(len(edges))]
		switch rng.Intn(6) {
		case 0:
			v += uint64(rng.Intn(9)) - 4
		case 1:
			v = rng.Uint64()
		case 2:
			v = uint64(rng.Intn(1 << 13))
		}
		return v
	}
	a := new(asm).ready()
	for range 1 + rng.Intn(1<<rng.Intn(6)) { // mostly few: the first mistake ends a run
		switch rng.Intn(10) {
		case 0, 1, 2:
			a.raw(0x49, 0xba).raw(le.AppendUint64(nil, number())...) // r10
			a.raw(0x49, 0xb8).raw(le.AppendUint64(nil, number())...) // r8
			a.syscall(answered[rng.Intn(len(answered))], number(), number(), number())
		case 3, 4:
			a.store32(dev+uint64(rng.Intn(0x48))*4, uint32(number()))
			a.load32(dev + uint64(rng.Intn(0x48))*4)
		case 5:
			if rng.Intn(4) == 0 {
				a.store64(number(), number()) // mostly an exception
				continue
			}
			a.store64(shared+uint64(rng.Intn(abi.SharedLen-8)), number())
		case 6:
			a.store64(shared+abi.RingControl,
				uint64(rng.Intn(abi.RingRecords+2))).bell(abi.BellRing)
		case 7:
			a.copy(shared+abi.QueueOffset, randomTable(rng))
			const q = abi.SharedGPA + abi.QueueOffset
			a.queue(1<<rng.Intn(5), q, q+uint64(rng.Intn(0x2000)), q+
				uint64(rng.Intn(0x4000))).store32(dev+abi.QueueNotify, 0)
		case 8:
			a.records(randomExtents(rng, number)...)
		case 9:
			b := make([]byte, abi.ResultLen)
			r := abi.Result{Format: img.Format(rng.Intn(20)), Extents: uint64(rng.Intn(4)),
				VirtualSize: number()}
			if _, err := r.Encode(b); err != nil {
				continue
			}
			for range rng.Intn(4) {
				b[rng.Intn(64)] = byte(number())
			}
			a.copy(shared+abi.ResultOffset, b[:256]).bell(uint64(rng.Intn(0x30)))
		}
	}
	if rng.Intn(2) == 0 {
		a.records(whole(4096)...).result(abi.Result{Format: 1, Extents: 1, VirtualSize: 4096})
	}
	return a.bell(abi.BellDone)
}

// randomTable is a table of 16 descriptors that may lead anywhere in the shared window.
func randomTable(rng *rand.Rand) (b []byte) {
	for range 16 {
		addr, n := abi.SharedGPA+uint64(rng.Intn(abi.SharedLen)), uint32(rng.Intn(1<<rng.Intn(23)))
		b = append(b, desc(addr, n, uint16(rng.Intn(4)), uint16(rng.Intn(17)))...)
	}
	if rng.Intn(2) == 0 {
		copy(b, desc(dma+0x100, 16, abi.DescFlagNext, 1))
	}
	return b
}

// randomExtents follow each other, and may say of themselves what they like.
func randomExtents(rng *rand.Rand, number func() uint64) []extent.Extent {
	es := make([]extent.Extent, 1+rng.Intn(5))
	pos := uint64(0)
	for i := range es {
		es[i] = extent.Extent{Start: pos, Length: 1 + uint64(rng.Intn(4096))}
		if rng.Intn(3) == 0 {
			es[i].Flags, es[i].File = extent.Flags(rng.Intn(int(extent.All)+1)), uint16(rng.Intn(3))
			es[i].Offset = number()
		}
		pos = es[i].End()
	}
	return es
}

// TestRandomGuests: whatever a guest does, its run ends, well or with an error of the guest,
// and never with a bug of the host.
func TestRandomGuests(t *testing.T) {
	needs.KVM(t)
	const guests, runs = 150, 2
	seed := time.Now().UnixNano()
	rng := rand.New(rand.NewSource(seed))
	budget := session.Budget{Time: 500 * time.Millisecond, Exits: 5000, Read: 1 << 26,
		Extents: 1000}
	ends := map[string]int{}
	for i := range guests {
		p, err := NewPool(Options{Program: bytes.NewReader(randomGuest(rng).elf()),
			Host: session.NewHost(session.Options{Budget: budget})})
		if err != nil {
			t.Fatal(err)
		}
		for range runs {
			ctx, cancel := context.WithTimeout(t.Context(), giveUp)
			_, err := p.Run(ctx, testJob())
			cancel()
			var g *session.GuestError
			var f *fault.Fault
			switch {
			case err == nil:
				ends["well"]++
			case errors.As(err, &g):
				ends[g.Kind.String()]++
			case errors.As(err, &f):
				ends["fault"]++
			default:
				t.Errorf("guest %d of seed %d: %v", i, seed, err)
			}
		}
		p.Close()
	}
	if len(ends) < 4 {
		t.Errorf("seed %d: all runs end alike: %v", seed, ends)
	}
}

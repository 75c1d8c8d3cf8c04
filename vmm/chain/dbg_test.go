package chain

import (
	"fmt"
	"sort"
	"testing"
	"time"

	"instarfs/guest/payload"
	"instarfs/vmm"
)

func TestDbg(t *testing.T) {
	prog, _ := payload.Agent()
	p, _ := vmm.NewPool(vmm.Options{Program: prog})
	p.Warm(t.Context())
	e := NewEngine(p, 1<<30)
	var ds []time.Duration
	for i := 1; i < 300; i++ {
		t0 := time.Now()
		_, err := e.MapFile(t.Context(), fmt.Sprintf("/tmp/w/sd/%d/a.qcow2", i), Options{})
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, time.Since(t0))
		time.Sleep(time.Millisecond)
	}
	sort.Slice(ds, func(i, j int) bool { return ds[i] < ds[j] })
	t.Log(ds[0], ds[20], ds[150])
}

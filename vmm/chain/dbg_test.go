package chain

import (
	"fmt"
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
	for i := 1; i < 200; i++ {
		t0 := time.Now()
		_, err := e.MapFile(t.Context(), fmt.Sprintf("/tmp/w/small/i%d.qcow2", i), Options{})
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, time.Since(t0))
		time.Sleep(2 * time.Millisecond)
	}
	t.Log(ds)
}

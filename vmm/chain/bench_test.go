package chain

import (
	"os"
	"testing"
	"time"

	"instarfs/guest/payload"
	"instarfs/render"
	"instarfs/vmm"
)

func BenchmarkBig(b *testing.B) {
	prog, _ := payload.Agent()
	p, _ := vmm.NewPool(vmm.Options{Program: prog})
	e := NewEngine(p, 0)
	for b.Loop() {
		t0 := time.Now()
		r, err := e.MapFile(b.Context(), os.Getenv("BIG"), Options{})
		if err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		rd, err := render.New(r.Map, render.JSON, render.Default())
		if err != nil {
			b.Fatal(err)
		}
		t2 := time.Now()
		buf := make([]byte, 1<<20)
		for off := int64(0); off < rd.Size(); off += 1 << 20 {
			rd.ReadAt(buf, off)
		}
		t3 := time.Now()
		b.Log("map", t1.Sub(t0), "index", t2.Sub(t1), "render", t3.Sub(t2), "bytes", r.Map.Bytes(), "n", r.Map.Len())
	}
}

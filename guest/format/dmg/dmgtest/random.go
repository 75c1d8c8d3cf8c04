package dmgtest

import "math/rand"

// Random returns an image with every kind of chunk, in tables in any order.
func Random(rng *rand.Rand) *Image {
	types := []uint64{0, 1, 2, 0x80000004, 0x80000005, 0x80000006, 0x80000007, 0x80000008,
		0x7ffffffe, 0xffffffff, uint64(rng.Intn(100))}
	if rng.Intn(2) == 0 {
		types = []uint64{0, 1, 2, 0x80000005}
	}
	d := &Image{Body: rng.Intn(20000), Fork: rng.Intn(3) == 0,
		DataFork: uint64(max(0, rng.Intn(200)-100))}
	d.DataFork = min(d.DataFork, uint64(d.Body))
	at, host := uint64(0), uint64(0)
	for range 1 + rng.Intn(8) {
		t := Table{First: at, Data: uint64(rng.Intn(2) * rng.Intn(100))}
		for sector := uint64(0); len(t.Chunks) < 1+rng.Intn(30); {
			c := Chunk{types[rng.Intn(len(types))], sector, uint64(rng.Intn(300)), host,
				uint64(rng.Intn(100000))}
			if rng.Intn(4) > 0 && len(t.Chunks) > 0 {
				c[0] = t.Chunks[len(t.Chunks)-1][0]
			}
			switch c[0] {
			case 1:
				c[4] = c[2] * 512
			case 0x7ffffffe, 0xffffffff:
				c[2] = 0
			}
			t.Chunks = append(t.Chunks, c)
			sector += c[2]
			if rng.Intn(6) == 0 {
				sector += uint64(rng.Intn(20))
			}
			host += c[4]
			at = t.First + sector
		}
		if rng.Intn(3) == 0 {
			rng.Shuffle(len(t.Chunks), func(i, j int) {
				t.Chunks[i], t.Chunks[j] = t.Chunks[j], t.Chunks[i]
			})
		}
		d.Tables = append(d.Tables, t)
		at += uint64(rng.Intn(2) * rng.Intn(50))
	}
	if rng.Intn(2) == 0 {
		rng.Shuffle(len(d.Tables), func(i, j int) {
			d.Tables[i], d.Tables[j] = d.Tables[j], d.Tables[i]
		})
	}
	d.Sectors = max(1, at+uint64(rng.Intn(40))-min(at, 20))
	return d
}

package formattest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand"
	"strings"
)

// DmgChunk is an entry of a block table: its type, first sector (from the table's on), sectors, and the offset and length of its bytes.
type DmgChunk [5]uint64

// DmgTable is a block table.
type DmgTable struct {
	First, Data uint64
	Chunks      []DmgChunk
}

// Bytes is the table as it is stored.
func (t *DmgTable) Bytes() []byte {
	be := binary.BigEndian
	b := make([]byte, 204)
	copy(b, "mish\x00\x00\x00\x01")
	be.PutUint64(b[8:], t.First)
	be.PutUint64(b[24:], t.Data)
	be.PutUint32(b[200:], uint32(len(t.Chunks)))
	for _, c := range t.Chunks {
		b = be.AppendUint64(b, c[0]<<32)
		for _, v := range c[1:] {
			b = be.AppendUint64(b, v)
		}
	}
	return b
}

// Dmg builds an Apple disk image.
type Dmg struct {
	Sectors  uint64
	Body     int // bytes in front of the tables
	DataFork uint64
	Tables   []DmgTable
	Fork     bool   // tables in the resource fork, not in a property list
	Plist    string // instead of one that is made
}

// Bytes is the image.
func (d *Dmg) Bytes() []byte {
	be := binary.BigEndian
	b := make([]byte, d.Body)
	var tables []byte
	koly := make([]byte, 512)
	copy(koly, "koly\x00\x00\x00\x04\x00\x00\x02\x00")
	be.PutUint64(koly[0x18:], d.DataFork)
	be.PutUint64(koly[0x1ec:], d.Sectors)
	be.PutUint32(koly[0x38:], 1)
	be.PutUint32(koly[0x3c:], 1)
	if d.Fork {
		tables = make([]byte, 256)
		for _, t := range d.Tables {
			m := t.Bytes()
			tables = be.AppendUint32(tables, uint32(len(m)))
			tables = append(tables, m...)
		}
		be.PutUint32(tables, 256)
		be.PutUint32(tables[4:], uint32(len(tables)))
		be.PutUint32(tables[8:], uint32(len(tables)-256))
		tables = append(tables, make([]byte, 50)...) // the resource map
		be.PutUint64(koly[0x28:], uint64(len(b)))
		be.PutUint64(koly[0x30:], uint64(len(tables)))
	} else {
		tables = []byte(d.Plist)
		if d.Plist == "" {
			tables = d.plist()
		}
		be.PutUint64(koly[0xd8:], uint64(len(b)))
		be.PutUint64(koly[0xe0:], uint64(len(tables)))
	}
	return append(append(b, tables...), koly...)
}

func (d *Dmg) plist() []byte {
	var s strings.Builder
	s.WriteString("<?xml version=\"1.0\"?>\n<plist version=\"1.0\"><dict><key>resource-fork</key><dict><key>blkx</key><array>\n")
	for i, t := range d.Tables {
		fmt.Fprintf(&s, "<dict><key>Attributes</key><string>0x0050</string><key>Data</key><data>\n")
		for text := base64.StdEncoding.EncodeToString(t.Bytes()); text != ""; {
			n := min(52, len(text))
			fmt.Fprintf(&s, "\t\t\t\t%s\n", text[:n])
			text = text[n:]
		}
		fmt.Fprintf(&s, "\t\t\t</data><key>ID</key><string>%d</string></dict>\n", i-1)
	}
	s.WriteString("</array><key>plst</key><array><dict><key>Data</key><data>AAAA</data></dict></array></dict></dict></plist>\n")
	return []byte(s.String())
}

// RandomDmg is an image with every kind of chunk in tables in any order.
func RandomDmg(rng *rand.Rand) *Dmg {
	types := []uint64{0, 1, 2, 0x80000004, 0x80000005, 0x80000006, 0x80000007, 0x80000008, 0x7ffffffe, 0xffffffff, uint64(rng.Intn(100))}
	if rng.Intn(2) == 0 {
		types = []uint64{0, 1, 2, 0x80000005}
	}
	d := &Dmg{Body: rng.Intn(20000), Fork: rng.Intn(3) == 0, DataFork: uint64(max(0, rng.Intn(200)-100))}
	d.DataFork = min(d.DataFork, uint64(d.Body))
	at, host := uint64(0), uint64(0)
	for range 1 + rng.Intn(8) {
		t := DmgTable{First: at, Data: uint64(rng.Intn(2) * rng.Intn(100))}
		for sector := uint64(0); len(t.Chunks) < 1+rng.Intn(30); {
			c := DmgChunk{types[rng.Intn(len(types))], sector, uint64(rng.Intn(300)), host, uint64(rng.Intn(100000))}
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
			rng.Shuffle(len(t.Chunks), func(i, j int) { t.Chunks[i], t.Chunks[j] = t.Chunks[j], t.Chunks[i] })
		}
		d.Tables = append(d.Tables, t)
		at += uint64(rng.Intn(2) * rng.Intn(50))
	}
	if rng.Intn(2) == 0 {
		rng.Shuffle(len(d.Tables), func(i, j int) { d.Tables[i], d.Tables[j] = d.Tables[j], d.Tables[i] })
	}
	d.Sectors = max(1, at+uint64(rng.Intn(40))-min(at, 20))
	return d
}

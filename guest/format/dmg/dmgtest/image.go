// Package dmgtest builds Apple disk images for tests.
package dmgtest

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// Chunk is an entry of a block table: its type, its first sector counted from the first of the
// table, its number of sectors, and the offset and length of its bytes.
type Chunk [5]uint64

// Table is a block table.
type Table struct {
	First, Data uint64 // the first sector, and the offset that is added to those of the chunks
	Chunks      []Chunk
}

// Bytes returns the table as it is stored.
func (t *Table) Bytes() []byte {
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

// Image is an image to build.
type Image struct {
	Sectors  uint64
	Body     int // bytes in front of the tables
	DataFork uint64
	Tables   []Table
	Fork     bool   // the tables are in the resource fork, not in a property list
	Plist    string // the property list, unless empty
}

// Bytes returns the image.
func (d *Image) Bytes() []byte {
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

func (d *Image) plist() []byte {
	var s strings.Builder
	s.WriteString("<?xml version=\"1.0\"?>\n<plist version=\"1.0\"><dict>" +
		"<key>resource-fork</key><dict><key>blkx</key><array>\n")
	for i, t := range d.Tables {
		s.WriteString("<dict><key>Attributes</key><string>0x0050</string><key>Data</key><data>\n")
		for text := base64.StdEncoding.EncodeToString(t.Bytes()); text != ""; {
			n := min(52, len(text))
			fmt.Fprintf(&s, "\t\t\t\t%s\n", text[:n])
			text = text[n:]
		}
		fmt.Fprintf(&s, "\t\t\t</data><key>ID</key><string>%d</string></dict>\n", i-1)
	}
	s.WriteString("</array><key>plst</key><array><dict><key>Data</key><data>AAAA</data></dict>" +
		"</array></dict></dict></plist>\n")
	return []byte(s.String())
}

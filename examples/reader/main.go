// Command reader lists the data in a map, one extent a line: where it is in the disk, how long it
// is, and where the file has it. It shows how a program in Go reads a map of any size: one extent
// at a time.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// extent is an element of a map. Numbers are bytes, below 2^63.
type extent struct {
	Start  int64
	Length int64
	Depth  int    // 0 is the image itself, 1 its backing file and so on
	Offset *int64 // in the file; nil where there is no such place, as for compressed data
	Zero   bool   // reads as zeroes
	Data   bool   // takes room in a file
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reader DISK.map.json")
		os.Exit(2)
	}
	if err := list(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "reader:", err)
		os.Exit(1)
	}
}

func list(name string, w io.Writer) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(w)
	d := json.NewDecoder(bufio.NewReaderSize(f, 1<<20))
	if _, err := d.Token(); err != nil { // [
		return err
	}
	for d.More() {
		var e extent
		if err := d.Decode(&e); err != nil {
			return err
		}
		switch {
		case !e.Data:
		case e.Offset == nil:
			fmt.Fprintf(out, "%d %d -\n", e.Start, e.Length)
		default:
			fmt.Fprintf(out, "%d %d %d\n", e.Start, e.Length, *e.Offset)
		}
	}
	return out.Flush()
}

//go:build !manual

// Command instarfs shows allocation maps of disk images: as files of a mount, or one at a time on
// standard output.
package main

import "os"

func main() {
	restoreAddresses()
	os.Exit(start(os.Args[1:], wire()))
}

// Package jailtest says what a hostile guest does, in tests of package jail: a script at the
// start of its image. Command hostile carries it out.
package jailtest

import "instarfs/guest/abi"

// The kinds of deeds. A deed is encoded like a message: an abi.Header and its payload.
const (
	End      = iota // waits for the host; memory of zeroes is this
	Steps           // makes N system calls, the payload is abi.Steps
	Want            // ends with a panic unless the last system call returned N, an int32
	Send            // sends the payload N times, for ever if N is 0
	Receive         // receives N bytes
	Ask             // sends the payload and receives N bytes, for ever
	Foreign         // makes system call N by the ABI of 32-bit x86
	Spin            // computes for ever on N threads
	Threads         // makes threads for ever, each of which waits
	Fill            // writes to N MiB of memory, and keeps them
	Allocate        // writes to more and more memory
	Crash           // dereferences a nil pointer
)

// Append adds a deed to a script.
func Append(script []byte, kind, n uint32, payload []byte) []byte {
	var h [abi.HeaderLen]byte
	abi.Header{Kind: kind, N: n, Length: uint32(len(payload))}.Encode(h[:])
	return append(append(script, h[:]...), payload...)
}

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestNumbersAgainstQemuImg compares what random numbers, most of them nearly right, mean to
// qemu-img.
func TestNumbersAgainstQemuImg(t *testing.T) {
	o := newOracle(t)
	r := rand.New(rand.NewPCG(5, 6))
	parts := []string{"0", "1", "9", "07", "512", "1048575", "9223372036854775807",
		"99999999999999999999", ".", ".5", ".25",
		".7", "x", "0x", "0X", "a", "f", "e", "E", "b", "k", "K", "M", "g", "T", "p", "P", "+", "-",
		" ", "\t", "inf", ".0"}
	for range 600 {
		var s strings.Builder
		for range 1 + r.IntN(4) {
			s.WriteString(parts[r.IntN(len(parts))])
		}
		o.compare(t, fmt.Sprintf("--output=json\x00-s\x00%s\x00-l7\x00a.raw", s.String()))
	}
}

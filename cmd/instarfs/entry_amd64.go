package main

// entry is written in assembly; see addresses.go. Programs that are linked without it start as all
// Go programs do.
func entry()

var _ = entry

//go:build !amd64

package main

// foreign is for x86-64 only.
func foreign(uint32) { panic("this processor has one ABI") }

package main

// foreign makes a system call by the ABI of 32-bit x86, without arguments.
//
//go:noescape
func foreign(nr uint32)

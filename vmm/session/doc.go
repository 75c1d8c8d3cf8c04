// Package session carries out a run, whatever carries it: it hands the guest its job, reads the
// image for it, takes the extents that it finds, and checks all that it says. It knows no carrier:
// it sees one through Transport.
//
// # Trust
//
// The guest is hostile from its first instruction: the image that it parses may own it. Every
// number that it sends is checked here or in package abi, before it is used; nothing that it does
// makes the host panic, wait, or allocate beyond the Budget of the run. What it does against the
// rules ends its run with a *GuestError.
//
// # Life of a run
//
// A Host is what all runs of a program share: their turns, their memory, their budget. Host.Run
// calls a carrier when it is the run's turn. The carrier takes a guest that has seen no image yet,
// and calls Serve, which talks to it by a Transport until the result is there. Whatever the guest
// was, it serves no other run as it is then: its carrier wipes it or ends it.
package session

// Package space is the address space of a guest as the host fills it: memory, page tables, the
// pages that a processor needs, the program and its stack. It knows neither KVM nor what a run is.
//
// # Memory
//
// Guest-physical, from 0: RAM, of which the host hands out frames for page tables, system pages,
// program, stack and mappings (paging.go); its last part is the shared window (package abi), the
// only part that the device touches. Above it, without memory behind them, so that every access is
// an exit: the device's registers and the doorbells.
//
// Guest-virtual, all in the lower half: the program below SystemVA, then what the host provides
// (layout.go). System pages are not the program's to read, but for the trap page (trap.go) and the
// clock (clock.go), which it may execute.
//
// Sources: Intel SDM volume 3; AMD APM volume 2; System V ABI, x86-64; vdso(7).
package space

package main

import (
	"context"

	"instarfs/vmm/vmmtest"
)

// walkedGuests are what a guest would do, done by this process, for a mount.
type walkedGuests struct{ vmmtest.Walker }

func (walkedGuests) Warm(context.Context) error { return nil }
func (walkedGuests) Close() error               { return nil }
func (walkedGuests) Carrier() string            { return "test" }
func (walkedGuests) Ready() int                 { return 0 }

// walkedTool is the whole program without KVM: what a guest would do is done by this process. What
// it prints is what the formats' code and all behind it make of an image.
func walkedTool() *tool { return toolOn(vmmtest.Walker{}) }

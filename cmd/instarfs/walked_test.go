package main

import (
	"context"

	"instarfs/vmm/chain"
	"instarfs/vmm/vmmtest"
)

// walkedEngine is the real engine, but what a guest would do is done by this process.
type walkedEngine struct{ *oneMap }

func (e walkedEngine) Close() error {
	e.done()
	return nil
}

// walkedGuests are the same for a mount.
type walkedGuests struct{ vmmtest.Walker }

func (walkedGuests) Warm(context.Context) error { return nil }
func (walkedGuests) Close() error               { return nil }

// walkedTool is the whole program without KVM: what it prints is what the formats' code and all behind it make of an image.
func walkedTool() *tool {
	t := newTool()
	t.newEngine = func(o accessOptions) (engine, error) {
		access, done, err := o.open()
		if err != nil {
			return nil, err
		}
		return walkedEngine{&oneMap{engine: chain.NewEngine(vmmtest.Walker{}, 0, access), done: done}}, nil
	}
	return t
}
